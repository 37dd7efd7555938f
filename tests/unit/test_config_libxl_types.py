"""libxl's types as Python values: made from their description, true to the tables, valid by construction."""

import copy
import csv
import pickle
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from config_libxl_values import STRUCTS, config_data

from xenwire.config.libxl import kinds, reports, types
from xenwire.config.libxl.cpuid import CpuidLeaf, CpuidMsr, CpuidPolicies, CpuidPolicyList
from xenwire.config.libxl.struct import Enumeration
from xenwire.config.libxl.types import (
    ChannelConnection,
    DeviceChannel,
    DeviceChannelNone,
    DeviceChannelPath,
    DeviceChannelPty,
    DeviceChannelSocket,
    DeviceDisk,
    DeviceNic,
    DeviceUsbdev,
    DiskFormat,
    DomainBuildInfo,
    DomainBuildInfoHvm,
    DomainBuildInfoInvalid,
    DomainConfig,
    DomainCreateInfo,
    DomainType,
    NicType,
    SveType,
    VsndStream,
)
from xenwire.config.libxl.version import EXTENSION, NEWEST, V4_17, XenVersion
from xenwire.errors import UsageError

ROOT = Path(__file__).parents[2]

ENUMS = {
    cls.__name__: cls
    for module in (types, reports)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, Enumeration) and cls is not Enumeration
}


def rows(name):
    with config_data(name).open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def camel(name):
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def release(text):
    return tuple(int(number) for number in text.split("."))


@pytest.mark.parametrize("name", ["types", "reports"])
def test_the_modules_are_those_that_the_script_makes(name):
    script = ROOT / "scripts/libxl-types"
    made = subprocess.run([sys.executable, script, "--print", name], capture_output=True, check=True)
    assert (ROOT / f"src/xenwire/config/libxl/{name}.py").read_bytes() == made.stdout


def test_the_enumerations_are_those_of_4_17():
    seen = set()
    for row in rows("enums-4.17.tsv"):
        enumeration = ENUMS[camel(row["enum"])]
        member = enumeration(int(row["number"]))
        assert member.json == row["json string"]
        assert member.since == release(row["since"])
        seen.add(member)
    for enumeration in {type(member) for member in seen}:
        assert {member for member in enumeration if member.since <= V4_17} <= seen


TABLE_KINDS = {
    "bitmap": kinds.BITMAP,
    "bool": kinds.BOOL,
    "defbool": kinds.DEFBOOL,
    "devid": kinds.DEVID,
    "domid": kinds.DOMID,
    "int": kinds.INT,
    "key_value_list": kinds.KEY_VALUE_LIST,
    "mac": kinds.MAC,
    "ms_vm_genid": kinds.MS_VM_GENID,
    "string": kinds.STRING,
    "string_list": kinds.STRING_LIST,
    "uint32": kinds.UINT32,
    "uint64": kinds.UINT64,
    "uint64 KiB": kinds.KIB,
    "uint8": kinds.UINT8,
    "uuid": kinds.UUID,
}

TABLE_DEFAULTS = {
    "null": None,
    "<default>": None,
    "all zero": None,
    "16 zeros": None,
    "(number 0, no name)": None,
    "18446744073709551615": None,
    "[]": (),
    "{}": (),
    "[] (no bit set)": frozenset(),
    "empty": CpuidPolicies(),
    "false": False,
}


def check_kind(kind, text):
    if text.startswith("array of "):
        assert isinstance(kind, kinds.ArrayOf)
        check_kind(kind.item, text.removeprefix("array of "))
    elif text.startswith("enum "):
        assert kind.type is ENUMS[camel(text.removeprefix("enum "))]
    elif text.startswith("struct "):
        assert kind.type is STRUCTS[text.removeprefix("struct ")]
    elif text == "cpuid_policy_list":
        assert isinstance(kind, CpuidPolicyList)
    else:
        assert kind is TABLE_KINDS[text]


def check_default(field, row):
    text = row["value left out of JSON"]
    if isinstance(field.kind, kinds.EnumOf) and field.default is not None:
        assert field.default.json == text
    elif row["type"] == "uint64":
        assert field.default == int(text)
    elif row["note"] == "compared as unsigned: -1 is the default":
        assert field.default == -1
    elif text in TABLE_DEFAULTS:
        assert field.default == TABLE_DEFAULTS[text]
    else:
        assert field.default == int(text)


def test_the_fields_are_those_of_4_17():
    expected = {}
    for row in rows("types-4.17.tsv"):
        if row["note"] == "const: never in JSON":
            continue
        *outer, name = row["json key (path)"].split(" / ")
        owner = STRUCTS[".".join([row["struct"], *outer])]
        if "." in name:
            union, member = name.split(".")
            kind = owner.FIELDS[union].kind
            expected.setdefault(owner, []).append(union)
            if member == "<member>":
                default = owner.FIELDS[union].default
                assert (default.KEY.json if default else "none") == row["value left out of JSON"]
            else:
                key = f"{union}.{member}"
                assert kind.keys(union, V4_17)[key] is STRUCTS[f"{owner.NAME}.{key}"]
                assert release(row["since"]) == STRUCTS[f"{owner.NAME}.{key}"].SINCE
            continue
        field = owner.FIELDS[name]
        expected.setdefault(owner, []).append(name)
        assert field.since == release(row["since"]), row
        assert (field.deprecated_by is None) == ("deprecated" not in row["note"])
        if row["type"] == "struct":
            assert field.kind.type is STRUCTS[f"{owner.NAME}.{name}"]
        elif row["value left out of JSON"] == "(always written)":
            assert isinstance(field.kind, kinds.StructOf)
            check_kind(field.kind, row["type"])
        else:
            check_kind(field.kind, row["type"])
            check_default(field, row)
    for owner, names in expected.items():
        of_4_17 = [name for name, field in owner.FIELDS.items() if field.since <= V4_17]
        assert of_4_17 == list(dict.fromkeys(names)), owner


def test_later_versions_only_add():
    later = {
        f"{struct.NAME}.{name}": field.since
        for struct in STRUCTS.values()
        for name, field in struct.FIELDS.items()
        if V4_17 < field.since < EXTENSION and struct.SINCE <= V4_17
    }
    assert later["domain_build_info.llc_colors"] == (4, 20)
    assert later["domain_build_info.xenstore_quota"] == (4, 22)
    assert later["domain_config.virtios"] == (4, 18)
    assert max(later.values()) <= NEWEST


def test_a_value_holds_what_was_given():
    disk = DeviceDisk(vdev="xvda", format=DiskFormat.RAW, readwrite=1, removable=0)
    assert (disk.vdev, disk.format, disk.readwrite) == ("xvda", DiskFormat.RAW, 1)
    assert (disk.removable, disk.script, disk.trusted) == (0, None, None)
    assert repr(disk) == "DeviceDisk(vdev='xvda', format=<DiskFormat.RAW: 4>, readwrite=1)"
    assert disk == DeviceDisk(readwrite=1, format=DiskFormat.RAW, vdev="xvda")
    assert hash(disk) == hash(DeviceDisk(readwrite=1, format=DiskFormat.RAW, vdev="xvda"))
    assert disk != disk.replace(vdev="xvdb")
    assert disk.replace(vdev=None, format=DiskFormat.UNKNOWN, readwrite=0) == DeviceDisk()
    assert disk != DeviceNic()
    assert list(disk.given()) == [("vdev", "xvda"), ("format", DiskFormat.RAW), ("readwrite", 1)]


def test_a_value_is_frozen():
    disk = DeviceDisk(vdev="xvda")
    with pytest.raises(AttributeError, match="frozen"):
        disk.vdev = "xvdb"
    with pytest.raises(AttributeError, match="frozen"):
        del disk.vdev
    with pytest.raises(TypeError, match="has no field 'vdef'"):
        DeviceDisk(vdef="xvda")
    with pytest.raises(TypeError):
        DeviceDisk("xvda")


def test_a_value_can_be_copied_and_sent():
    config = DomainConfig(
        c_info=DomainCreateInfo(name="a", uuid=uuid.UUID(int=1)),
        channels=[DeviceChannel(name="x", connection=DeviceChannelPty())],
    )
    assert config.channels == (DeviceChannel(name="x", connection=DeviceChannelPty()),)
    for copied in (copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert copied == config
        assert type(copied) is DomainConfig


def test_values_have_one_form():
    assert DeviceNic(mac="00:16:3E:01:02:03").mac == "00:16:3e:01:02:03"
    assert DeviceNic(mac="00:00:00:00:00:00") == DeviceNic()
    assert DomainCreateInfo(uuid=uuid.UUID(int=0)) == DomainCreateInfo()
    assert DomainBuildInfo(max_memkb=2**64 - 1) == DomainBuildInfo()
    assert DomainBuildInfo(max_memkb=0).max_memkb == 0
    assert DomainBuildInfo(avail_vcpus=[3, 1, 3]).avail_vcpus == frozenset({1, 3})
    assert DomainBuildInfo(irqs=[5, 7]).irqs == (5, 7)
    assert DomainCreateInfo(xsdata={"a": "b", "c": None}).xsdata == (("a", "b"), ("c", None))
    assert DomainBuildInfoHvm(ms_vm_genid=bytes(16)) == DomainBuildInfoHvm()
    assert type(DomainBuildInfo(max_vcpus=DomainType.HVM).max_vcpus) is int


def test_unions():
    assert DomainBuildInfo().type == DomainBuildInfoInvalid()
    assert DomainBuildInfo().type.KEY is DomainType.INVALID
    assert DeviceUsbdev().type is None
    assert VsndStream().type is None
    assert DeviceChannelSocket(path="/a").KEY is ChannelConnection.SOCKET
    with pytest.raises(UsageError, match=r"device_channel.connection: DomainBuildInfoHvm is no"):
        DeviceChannel(connection=DomainBuildInfoHvm())


def test_the_kinds_that_only_xenwire_has():
    for member, name in ((DeviceChannelNone, "none"), (DeviceChannelPath, "path")):
        assert member.SINCE == member.KEY.since == EXTENSION
        assert member.KEY.json == name
        assert member.KEY not in range(256)


def test_an_enumeration_with_digits():
    assert SveType["_128"].json == "128"
    assert SveType(128).since == (4, 18)
    assert ENUMS["TeeType"].FFA.since == (4, 18)
    assert ENUMS["TeeType"].OPTEE.since == (4, 13)


@pytest.mark.parametrize(
    ("struct", "values", "message"),
    [
        (DeviceDisk, {"format": 4}, "device_disk.format: 4 is no DiskFormat"),
        (DeviceDisk, {"format": NicType.VIF}, "device_disk.format"),
        (DeviceDisk, {"readwrite": 2**31}, "device_disk.readwrite: 2147483648 is not between"),
        (DeviceDisk, {"readwrite": 10**5000}, "device_disk.readwrite: this number is not between"),
        (DeviceDisk, {"readwrite": True}, "device_disk.readwrite: True is not a whole number"),
        (DeviceDisk, {"readwrite": None}, "device_disk.readwrite: None is not a whole number"),
        (DeviceDisk, {"direct_io_safe": 1}, "device_disk.direct_io_safe"),
        (DeviceDisk, {"trusted": "True"}, "device_disk.trusted"),
        (DeviceDisk, {"vdev": b"xvda"}, "device_disk.vdev: b'xvda' is not text"),
        (DeviceDisk, {"vdev": "a\0b"}, "NUL"),
        (DeviceDisk, {"vdev": "\ud800"}, "surrogate"),
        (DeviceNic, {"mac": "00:16:3e:01:02"}, "device_nic.mac"),
        (DomainCreateInfo, {"uuid": "5aff0001-1c2d-4e3f-8a9b-c0ffee00ffff"}, "is no UUID"),
        (DomainCreateInfo, {"xsdata": ["ab"]}, "is not a pair"),
        (DomainBuildInfo, {"max_memkb": -1}, "domain_build_info.max_memkb"),
        (DomainBuildInfo, {"avail_vcpus": {-1}}, "domain_build_info.avail_vcpus"),
        (DomainBuildInfo, {"irqs": 5}, "5 is not a list"),
        (DomainBuildInfo, {"extra": "abc"}, "'abc' is not a list"),
        (DomainBuildInfo, {"extra": [None]}, "None is not text"),
        (DomainBuildInfo, {"cpuid": ()}, "domain_build_info.cpuid"),
        (DomainBuildInfoHvm, {"ms_vm_genid": b"short"}, "is not 16 bytes"),
        (DomainConfig, {"c_info": DomainBuildInfo()}, "DomainBuildInfo is no DomainCreateInfo"),
        (DomainConfig, {"disks": [DeviceNic()]}, "domain_config.disks: DeviceNic is no DeviceDisk"),
        (CpuidLeaf, {"eax": "x" * 31}, "32 characters"),
        (CpuidLeaf, {"leaf": 2**32 - 1}, "cpuid_policy_list.cpuid.leaf"),
        (CpuidMsr, {"policy": "x" * 32}, "64 characters"),
        (reports.Physinfo, {"hw_cap": (1, 2, 3)}, "is not four numbers"),
    ],
)
def test_bad_values_are_refused(struct, values, message):
    with pytest.raises(UsageError, match=message):
        struct(**values)


def test_versions():
    assert str(XenVersion.parse("4.17")) == "4.17"
    assert str(XenVersion.parse("4.17.5")) == "4.17.5"
    assert XenVersion.parse("4.17.5") == V4_17 < XenVersion.parse("4.17") < XenVersion.parse("4.18.0")
    assert XenVersion.parse("4.20.1") > (4, 20)
    for text in ("", "4", "4.x", "4.17.5.1", "4.17\n", "xen", "٤.17"):
        with pytest.raises(UsageError, match="not a version"):
            XenVersion.parse(text)
    with pytest.raises(UsageError, match="too old"):
        XenVersion.parse("4.11.4")


def test_versions_with_msrs_in_cpuid_policies():
    first = ["4.14.6", "4.15.5", "4.16.5", "4.17.2", "4.18.0", "4.22"]
    last = ["4.12", "4.13", "4.14.5", "4.15.4", "4.16.4", "4.17.1"]
    assert all(XenVersion.parse(text).cpuid_has_msrs for text in first)
    assert not any(XenVersion.parse(text).cpuid_has_msrs for text in last)
