"""libxl's JSON: read as libxl reads it or strictly, written as it writes it."""

import contextlib
import json

import pytest
from config_libxl_values import STRUCTS, config_data, golden_configs, structs
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.diagnostics import ConfigError
from xenwire.config.libxl import reports
from xenwire.config.libxl.cpuid import CpuidLeaf, CpuidMsr, CpuidPolicies
from xenwire.config.libxl.json_reader import from_json, read_listing
from xenwire.config.libxl.json_text import MAX_SIZE
from xenwire.config.libxl.json_writer import listing_to_json, lost, to_data, to_json
from xenwire.config.libxl.types import (
    ArmSci,
    ArmSciType,
    BiosType,
    DeviceChannel,
    DeviceChannelNone,
    DeviceChannelPath,
    DeviceChannelPty,
    DeviceChannelSocket,
    DeviceDisk,
    DeviceNic,
    DeviceP9,
    DeviceVkb,
    DeviceVsnd,
    DiskFormat,
    DomainBuildInfo,
    DomainBuildInfoArchArm,
    DomainBuildInfoHvm,
    DomainBuildInfoPv,
    DomainConfig,
    DomainCreateInfo,
    DomainType,
    TeeType,
    VncInfo,
    VsndParams,
)
from xenwire.config.libxl.version import NEWEST, V4_17, XenVersion
from xenwire.errors import UsageError, XenwireError

CASES = [json.loads(line) for line in config_data("json-reader.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_reads_as_libxl_does(case):
    struct = STRUCTS[case["type"]]
    if case["result"] == "ok":
        assert to_json(from_json(case["input"].encode(), struct)) == case["output"].encode()
    else:
        with pytest.raises(UsageError):
            from_json(case["input"].encode(), struct)


def without_what_libxl_cannot_read(text):
    """Leave out the lines with numbers above 2^63-1: libxl writes them, but does not read them."""
    return b"".join(
        line
        for line in text.splitlines(keepends=True)
        if not (number := line.split(b":")[-1].strip(b" ,\n")).isdigit() or int(number) < 2**63
    )


@pytest.mark.parametrize("path", golden_configs(), ids=lambda path: path.name)
def test_configurations_come_back(path):
    text = path.read_bytes()
    assert to_json(from_json(text, DomainConfig, strict=True)) == text
    assert to_json(from_json(text, DomainConfig)) == without_what_libxl_cannot_read(text)
    assert to_data(from_json(text, DomainConfig, strict=True)) == json.loads(text)


@pytest.mark.parametrize("path", sorted(config_data("live").glob("*.list.json")), ids=lambda path: path.name)
def test_listings_come_back(path):
    text = path.read_bytes()
    listing = read_listing(text, strict=True)
    assert listing_to_json(listing) == text
    assert read_listing(text) == listing
    assert [(domid, config.c_info.name) for domid, config in listing] == [
        (item["domid"], item["config"]["c_info"]["name"]) for item in json.loads(text)
    ]


def test_an_empty_listing():
    assert read_listing(b"[]") == ()
    assert listing_to_json([]) == b"[\n\n]\n\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{}", "not a list of domains"),
        (b"[5]", r"\[0\]: this is not a domain id with a configuration"),
        (b'[{"domid": "4", "config": {}}]', r"\[0\]"),
        (b'[{"domid": -1, "config": {}}]', r"\[0\].domid: -1 is not between"),
        (b'[{"domid": 1, "config": {"disks": [{}, {"format": "x"}]}}]', r"\[0\].config.disks\[1\].format"),
    ],
)
def test_bad_listings(text, message):
    with pytest.raises(UsageError, match=message):
        read_listing(text)


def test_a_small_value():
    nic = DeviceNic(mac="00:16:3e:01:02:03", ip='"\\/\x7f\x1f\n\u20ac', devid=0)
    assert to_json(nic).decode() == (
        '{\n    "devid": 0,\n    "mac": "00:16:3e:01:02:03",\n    "ip": "\\"\\\\/\x7f\\u001F\\n\u20ac"\n}\n'
    )


def test_text_that_is_not_utf_8():
    disk = from_json(b'{"vdev": "\xff\xc3\xa4"}', DeviceDisk, strict=True)
    assert disk.vdev == "\udcff\xe4"
    assert to_json(disk) == b'{\n    "vdev": "\xff\xc3\xa4"\n}\n'


def test_keys_of_a_list_may_repeat():
    text = b'{"xsdata": {"a": "1", "a": null}}'
    info = from_json(text, DomainCreateInfo)
    assert info.xsdata == (("a", "1"), ("a", None))
    assert json.loads(to_json(info), object_pairs_hook=list) == [("xsdata", [("a", "1"), ("a", None)])]
    assert to_data(info) == {"xsdata": {"a": None}}
    with pytest.raises(UsageError, match="xsdata: 'a' is given twice"):
        from_json(text, DomainCreateInfo, strict=True)


NEWER = DomainConfig(
    b_info=DomainBuildInfo(
        llc_colors=[1],
        tee=TeeType.FFA,
        type=DomainBuildInfoHvm(pirq=True, bios=BiosType.OVMF),
        arch_arm=DomainBuildInfoArchArm(nr_spis=3, arm_sci=ArmSci(type=ArmSciType.SCMI_SMC)),
    ),
    disks=[DeviceDisk(vdev="a", grant_usage=False), DeviceDisk(grant_usage=None)],
    p9s=[DeviceP9(max_files=3)],
    channels=[
        DeviceChannel(connection=DeviceChannelPty()),
        DeviceChannel(connection=DeviceChannelPath(path="/a")),
    ],
)


def test_what_a_version_does_not_know_is_lost():
    assert lost(NEWER, V4_17) == [
        "b_info.llc_colors",
        "b_info.tee",
        "b_info.type.hvm.pirq",
        "b_info.arch_arm.nr_spis",
        "b_info.arch_arm.arm_sci",
        "disks[0].grant_usage",
        "p9s[0].max_files",
        "channels[1].connection.path",
    ]
    assert lost(NEWER, NEWEST) == ["channels[1].connection.path"]
    assert lost(NEWER.replace(channels=()), NEWEST) == []


def test_what_a_version_does_not_know_is_not_written():
    data = to_data(NEWER, V4_17)
    assert data["b_info"] == {
        "sched_params": {},
        "type.hvm": {"bios": "ovmf", "vga": {}, "vnc": {}, "sdl": {}, "spice": {}, "rdm": {}},
        "arch_arm": {},
        "arch_x86": {},
    }
    assert data["disks"] == [{"vdev": "a"}, {}]
    assert data["channels"] == [{"connection.pty": {}}, {"connection.path": {"path": "/a"}}]
    newest = to_data(NEWER, NEWEST)
    assert newest["b_info"]["tee"] == "ffa"
    assert newest["b_info"]["arch_arm"] == {"nr_spis": 3, "arm_sci": {"type": "scmi_smc"}}
    assert newest["b_info"]["xenstore_quota"] == {}


def test_what_a_version_does_not_know_is_not_read():
    text = to_json(NEWER, NEWEST)
    assert from_json(text, DomainConfig, version=NEWEST, strict=True) == NEWER
    with pytest.raises(UsageError, match=r"b_info: 'llc_colors' is unknown to Xen 4.17.5"):
        from_json(text, DomainConfig, strict=True)
    with pytest.raises(UsageError, match=r"b_info.tee: 'ffa' is none of none, optee"):
        from_json(text, DomainConfig)
    older = from_json(text.replace(b'"ffa"', b'"optee"'), DomainConfig)
    assert older.b_info.llc_colors == ()
    assert older.channels == NEWER.channels


def test_cpuid_policies_by_version():
    policies = CpuidPolicies(leaves=[CpuidLeaf(leaf=0, eax="1" * 32)], msrs=[CpuidMsr(index=266)])
    info = DomainBuildInfo(cpuid=policies)
    leaf = {"leaf": 0, "eax": "1" * 32}
    assert to_data(info)["cpuid"] == {"cpuid": [leaf], "msr": [{"index": 266, "policy": "x" * 64}]}
    assert to_data(info, XenVersion(4, 17, 1))["cpuid"] == [leaf]
    assert lost(info) == []
    assert lost(info, XenVersion(4, 17, 1)) == ["cpuid.msrs"]
    assert "cpuid" not in to_data(
        DomainBuildInfo(cpuid=CpuidPolicies(msrs=[CpuidMsr()])), XenVersion(4, 16, 4)
    )
    assert from_json(to_json(info), DomainBuildInfo, strict=True) == info


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"readwrite": 1E400, "vdev": "a"}', DeviceDisk(readwrite=1, vdev="a")),
        (b'{"readwrite": -0}', DeviceDisk()),
        (b'{"readwrite": 1.5e3, "base": -9223372036854775809}', DeviceDisk()),
        (b'{"readwrite": [1], "vdev": {"a": 1}, "trusted": null, "format": 4}', DeviceDisk()),
        (b'{"format": "RaW"}', DeviceDisk(format=DiskFormat.RAW)),
        (b'{"trusted": "<default>x"}', DeviceDisk()),
        (b'{"vdev\\u0000x": "a\\u0000b"}', DeviceDisk(vdev="a")),
        (b'{"vdev": "\\ud83d\\ude00\\\\ud83d"}', DeviceDisk(vdev="\U0001f600\\ud83d")),
        (b'{"vdev": "a"}\0{', DeviceDisk(vdev="a")),
        (b"  [1, 2]", DeviceDisk()),
    ],
)
def test_the_lenient_reader_on_disks(text, expected):
    assert from_json(text, DeviceDisk) == expected


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (b"[9,3,0]", {0, 3}),
        (b"[-1,7]", {7}),
        (b"[5,-1]", set()),
        (b"[0,7,8,15,16,9]", {0, 7, 8, 15, 9}),
        (b"[]", set()),
        (b"{}", set()),
    ],
)
def test_the_lenient_reader_on_bitmaps(bits, expected):
    assert from_json(b'{"cpumap": %b}' % bits, reports.Vcpuinfo).cpumap == expected


def test_the_lenient_reader_on_other_kinds():
    nic = from_json(b'{"mac": "00:16:3E:00:00:01:and more"}', DeviceNic)
    assert nic.mac == "00:16:3e:00:00:01"
    info = from_json(b'{"hw_cap": [4294967297, -1, 0, 5, 6]}', reports.Physinfo)
    assert info.hw_cap == (1, 2**32 - 1, 0, 5)
    assert from_json(b'{"disks": [5, {"vdev": "a"}]}', DomainConfig).disks == (
        DeviceDisk(),
        DeviceDisk(vdev="a"),
    )
    leaves = b'[{"leaf": 1, "eax": "%b"}, {"leaf": "2"}, {"leaf": 3}]' % (b"1" * 40)
    assert from_json(b'{"cpuid": %b}' % leaves, DomainBuildInfo).cpuid == CpuidPolicies(
        leaves=[CpuidLeaf(leaf=1, eax="1" * 32)]
    )


@pytest.mark.parametrize(
    ("struct", "text", "message"),
    [
        (DeviceNic, b'{"mac": "00:16:3e:00:00:01x"}', "mac: "),
        (DeviceVsnd, b'{"params": {"sample_rates": [1, null]}}', r"params.sample_rates\[1\]: null is not"),
        (DeviceVsnd, b'{"params": {"sample_rates": [1, 1.5]}}', r"params.sample_rates\[1\]: this number"),
        (DomainCreateInfo, b'{"xsdata": {"a": 1}}', r"xsdata.a: this number is not a string"),
        (DomainBuildInfo, b'{"avail_vcpus": [0, 18446744073709551615]}', r"avail_vcpus\[1\]"),
        (DomainBuildInfo, b'{"cpuid": [5]}', r"cpuid\[0\]: this is not an object with 'leaf'"),
        (DomainBuildInfo, b'{"cpuid": null}', "cpuid: this is neither"),
        (
            DomainBuildInfo,
            b'{"cpuid": {"cpuid": [], "msr": [{"index": 1}]}}',
            r"cpuid.msr\[0\]: this is not an object with 'policy'",
        ),
        (
            DomainBuildInfo,
            b'{"vcpu_hard_affinity": [[0], 1]}',
            r"vcpu_hard_affinity\[1\]: this number is not an array",
        ),
        (DomainBuildInfo, b'{"type.hvm": {}, "type.pv": {}}', "type.hvm and type.pv exclude each other"),
        (DomainBuildInfo, b'{"type.hvm": {}, "type.invalid": {}}', "exclude each other"),
        (reports.Event, b'{"type.domain_death": {}, "type.disk_eject": {}}', "exclude each other"),
    ],
)
def test_what_even_the_lenient_reader_refuses(struct, text, message):
    with pytest.raises(UsageError, match=message):
        from_json(text, struct)


@pytest.mark.parametrize(
    ("struct", "text", "message"),
    [
        (DeviceDisk, b"5", "this number is not an object"),
        (DeviceDisk, b'{"vdef": "a"}', "'vdef' is unknown to Xen 4.17.5"),
        (DeviceDisk, b'{"vdev": "a", "vdev": "b"}', "'vdev' is given twice"),
        (DeviceDisk, b'{"vdev": 5}', "vdev: this number is not a string"),
        (DeviceDisk, b'{"vdev": "a\\u0000"}', "vdev: .* NUL"),
        (DeviceDisk, b'{"readwrite": "1"}', "readwrite: '1' is not a whole number"),
        (DeviceDisk, b'{"readwrite": 1.0}', "readwrite: this number is not a whole number"),
        (DeviceDisk, b'{"trusted": "Truest"}', "trusted: 'Truest' is neither"),
        (DeviceDisk, b'{"trusted": true}', "trusted: a boolean is not a string"),
        (DeviceVkb, b'{"feature_multi_touch": 1}', "this number is not true or false"),
        (DeviceNic, b'{"mac": "00:16:3e:00:00:01:"}', "mac"),
        (DeviceChannel, b'{"connection": "pty"}', "'connection' is unknown"),
        (DeviceChannel, b'{"connection.vchan": {}}', "'connection.vchan' is unknown"),
        (DeviceChannel, b'{"connection.pty": []}', "connection.pty: an array is not an object"),
        (DeviceChannel, b'{"connection.unknown": {}, "connection.pty": {}}', "exclude each other"),
        (DomainConfig, b'{"channels": {}}', "channels: an object is not an array"),
        (DomainConfig, b'{"disks": [{}, 5]}', r"disks\[1\]: this number is not an object"),
        (DomainBuildInfo, b'{"type.pv": {"features": "x"}}', "type.pv: 'features' is unknown"),
        (DomainBuildInfo, b'{"cpuid": [{"eax": "x"}]}', r"cpuid\[0\]: this is not an object with 'leaf'"),
        (DomainBuildInfo, b'{"cpuid": {"cpuid": [], "msr": [], "x": 1}}', "cpuid"),
        (DomainBuildInfo, b'{"type.hvm": {"ms_vm_genid": [%b]}}' % b",".join([b"1"] * 17), "16 numbers"),
        (DomainBuildInfo, b'{"type.hvm": {"ms_vm_genid": [%b]}}' % b",".join([b"256"] * 16), r"\[0\]: 256"),
    ],
)
def test_what_the_strict_reader_refuses(struct, text, message):
    with pytest.raises(UsageError, match=message):
        from_json(text, struct, strict=True)


def test_the_strict_reader_keeps_large_numbers():
    info = DomainBuildInfo(max_memkb=2**64 - 2)
    assert from_json(to_json(info), DomainBuildInfo, strict=True) == info
    assert from_json(to_json(info), DomainBuildInfo) == DomainBuildInfo()


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (b"", 1, 1),
        (b'{\n  "name": "a",\n}', 3, 1),
        (b'{"n\xc3\xa4me": tru}', 1, 10),
        (b'{"\xff": tru}', 1, 7),
        (b'{"a": "NaN",\n "b": -Infinity}', 2, 7),
        (b'{"a": "\\u00e9 \\\\ud800 \\ud800x"}', 1, 23),
        (b'{"a": "\\udc00"}', 1, 8),
        (b'{"a": "x\ny"}', 1, 9),
        (b'{"devid": 007}', 1, 12),
        (b"// c\n{}", 1, 1),
        (b'{"a": +7}', 1, 7),
        (b'{"a"\0: 1}', 1, 5),
    ],
)
def test_mistakes_in_the_text(text, line, column):
    with pytest.raises(ConfigError) as caught:
        from_json(text, DomainConfig, source="a.json")
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.file, diagnostic.line, diagnostic.column) == ("a.json", line, column)


@pytest.mark.parametrize("start", [b"[", b'{"disks":', b'{"x":[{"y":'])
@pytest.mark.parametrize("strict", [False, True])
def test_deep_nesting_is_refused(start, strict):
    for count in (101, 10_000, 1_000_000):
        with pytest.raises(ConfigError, match="nested too deeply"):
            from_json(start * count, DomainConfig, strict=strict)


def test_brackets_in_text_are_no_nesting():
    text = json.dumps({"cmdline": '[{"\\' * 1000, "extra": ["]" * 1000]}).encode()
    assert from_json(text, DomainBuildInfo, strict=True).cmdline == '[{"\\' * 1000


def test_large_texts():
    disks = b",".join([b'{"vdev": "xvda", "vdev": "xvdb"}'] * 10_000)
    assert len(from_json(b'{"disks": [%b]}' % disks, DomainConfig).disks) == 10_000
    many = b'{"xsdata": {%b}}' % b",".join(b'"%d": "%b"' % (i, b"\\\\" * 100) for i in range(20_000))
    assert len(from_json(many, DomainCreateInfo, strict=True).xsdata) == 20_000
    with pytest.raises(ConfigError, match="too long"):
        from_json(b" " * (MAX_SIZE + 1), DomainConfig)
    for text in (
        b'"' + b"\\" * 10**7,
        b'{"a": ' + b"9" * 10**7,
        b"\xff" * 10**6,
        b'{"a":1,' * 3 + b'"' * 10**6,
    ):
        with pytest.raises(ConfigError):
            from_json(text, DomainConfig)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_random_values_come_back(data):
    struct = STRUCTS[data.draw(st.sampled_from(sorted(STRUCTS)))]
    value = data.draw(structs(struct))
    text = to_json(value, NEWEST)
    assert from_json(text, struct, strict=True, version=NEWEST) == value
    older = from_json(to_json(value, V4_17), struct, strict=True)
    assert (older == value) or lost(value, V4_17)
    assert set(lost(value, NEWEST)) <= set(lost(value, V4_17))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["True", "raw", "PTY", "00:16:3e:00:00:01", "5aff0001-1c2d-4e3f-8a9b-c0ffee00ffff"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(sorted({n for s in STRUCTS.values() for n in s.FIELDS})), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@settings(max_examples=120, deadline=None)
@given(
    struct=st.sampled_from(sorted(STRUCTS)),
    keys=st.lists(st.integers(0, 100), max_size=5),
    inner=st.lists(JSON_VALUES, min_size=5, max_size=5),
    strict=st.booleans(),
)
def test_random_json_gives_a_value_or_an_error(struct, keys, inner, strict):
    names = [*STRUCTS[struct].FIELDS] or ["x"]
    tree = {names[key % len(names)]: value for key, value in zip(keys, inner, strict=False)}
    try:
        value = from_json(json.dumps(tree).encode(), STRUCTS[struct], strict=strict)
    except XenwireError:
        return
    assert from_json(to_json(value), STRUCTS[struct], strict=True) == value


@settings(max_examples=300, deadline=None)
@given(
    text=st.binary(max_size=40) | st.text('{}[]:,"\\0123eE.-+ \nuDd8truefalsn', max_size=40).map(str.encode)
)
def test_random_text_gives_a_value_or_an_error(text):
    with contextlib.suppress(ConfigError):
        assert isinstance(from_json(text, DomainConfig), DomainConfig)


def test_a_typical_configuration():
    config = DomainConfig(
        c_info=DomainCreateInfo(type=DomainType.HVM, name="a", run_hotplug_scripts=True),
        b_info=DomainBuildInfo(
            max_vcpus=2, avail_vcpus={0, 1}, type=DomainBuildInfoHvm(vnc=VncInfo(enable=True), boot="c")
        ),
        channels=[DeviceChannel(name="x", connection=DeviceChannelSocket(path="/a"))],
    )
    assert to_data(config)["b_info"]["type.hvm"]["vnc"] == {"enable": "True"}
    assert to_data(config)["channels"] == [{"name": "x", "connection.socket": {"path": "/a"}}]
    none = config.replace(channels=[DeviceChannel(name="x", connection=DeviceChannelNone())])
    assert to_data(none)["channels"] == [{"name": "x", "connection.none": {}}]
    assert from_json(to_json(none), DomainConfig, strict=True) == none
    pv = config.replace(b_info=DomainBuildInfo(type=DomainBuildInfoPv(slack_memkb=0)))
    assert to_data(pv)["b_info"]["type.pv"] == {"slack_memkb": 0}
    assert to_data(VsndParams(sample_rates=[8000])) == {"sample_rates": [8000]}
