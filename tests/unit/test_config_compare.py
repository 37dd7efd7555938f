"""Two configurations side by side."""

import itertools
from pathlib import Path

import pytest

from xenwire.config import ConfigError, HostFacts, parse_config
from xenwire.config.compare import Difference, compare
from xenwire.config.libxl import types as xl
from xenwire.config.libxl.cpuid import CpuidLeaf, CpuidPolicies

GOLDEN = Path(__file__).parent.parent / "data" / "xlcfg"


def golden():
    facts = HostFacts(random=bytes)
    for file in sorted(GOLDEN.glob("*.cfg")):
        try:
            yield parse_config(file.read_bytes(), file.name, facts).config
        except ConfigError:
            continue


def test_only_equal_configurations_have_no_difference():
    for before, after in itertools.pairwise(golden()):
        assert compare(before, before) == []
        assert (compare(before, after) == []) is (before == after)
        there = [difference.path for difference in compare(before, after)]
        back = [difference.path for difference in compare(after, before)]
        assert len(there) == len(back)


def hvm(**fields):
    return xl.DomainConfig(b_info=xl.DomainBuildInfo(type=xl.DomainBuildInfoHvm(**fields)))


LEAF = CpuidPolicies(leaves=[CpuidLeaf(leaf=1, eax="1" * 32)])


@pytest.mark.parametrize(
    ("before", "after", "differences"),
    [
        (
            xl.DomainConfig(b_info=xl.DomainBuildInfo(max_memkb=1024)),
            xl.DomainConfig(b_info=xl.DomainBuildInfo(max_memkb=2048)),
            [("b_info.max_memkb", 1024, 2048)],
        ),
        (
            xl.DomainConfig(on_crash=xl.ActionOnShutdown.PRESERVE),
            xl.DomainConfig(),
            [("on_crash", "preserve", None)],
        ),
        (
            hvm(vnc=xl.VncInfo(enable=True)),
            hvm(vnc=xl.VncInfo(enable=False), boot="d"),
            [("b_info.type.hvm.vnc.enable", "True", "False"), ("b_info.type.hvm.boot", None, "d")],
        ),
        (
            hvm(boot="c"),
            xl.DomainConfig(b_info=xl.DomainBuildInfo(type=xl.DomainBuildInfoPv())),
            [
                (
                    "b_info.type.hvm",
                    {"boot": "c", "vga": {}, "vnc": {}, "sdl": {}, "spice": {}, "rdm": {}},
                    None,
                ),
                ("b_info.type.pv", None, {}),
            ],
        ),
        (
            xl.DomainConfig(b_info=xl.DomainBuildInfo(cpuid=LEAF)),
            xl.DomainConfig(),
            [("b_info.cpuid", {"cpuid": [{"leaf": 1, "eax": "1" * 32}], "msr": []}, None)],
        ),
        (
            xl.DomainConfig(channels=[xl.DeviceChannel(name="a", connection=xl.DeviceChannelPty())]),
            xl.DomainConfig(
                channels=[xl.DeviceChannel(name="a", connection=xl.DeviceChannelPath(path="/p"))]
            ),
            [
                ("channels[name=a].connection.pty", {}, None),
                ("channels[name=a].connection.path", None, {"path": "/p"}),
            ],
        ),
        (
            xl.DomainConfig(usbdevs=[xl.DeviceUsbdev(type=xl.DeviceUsbdevHostdev(hostbus=1))]),
            xl.DomainConfig(usbdevs=[xl.DeviceUsbdev()]),
            [("usbdevs[0].type.hostdev", {"hostbus": 1}, None)],
        ),
    ],
)
def test_paths_and_values_are_those_of_json(before, after, differences):
    assert compare(before, after) == [Difference(*difference) for difference in differences]


def disk(vdev, **fields):
    return xl.DeviceDisk(vdev=vdev, **fields)


def nic(**fields):
    return xl.DeviceNic(**fields)


def pci(slot):
    return xl.DevicePci(bus=3, dev=slot)


MAC = "00:16:3e:00:00:01"


@pytest.mark.parametrize(
    ("field", "before", "after", "paths"),
    [
        ("disks", [disk("xvda", readwrite=1)], [disk("xvda")], ["disks[vdev=xvda].readwrite"]),
        ("disks", [disk("xvda")], [disk("xvdb")], ["disks[vdev=xvda]", "disks[vdev=xvdb]"]),
        ("disks", [disk("xvda"), disk("xvdb")], [disk("xvdb")], ["disks[vdev=xvda]"]),
        ("disks", [disk("xvda"), disk("xvdb")], [disk("xvdb"), disk("xvda")], ["disks"]),
        ("disks", [disk("xvda"), disk("xvda")], [disk("xvda")], ["disks[vdev=xvda]"]),
        ("nics", [nic(mac=MAC)], [nic(mac=MAC, devid=0)], [f"nics[mac={MAC}].devid"]),
        ("nics", [nic(mac=MAC, devid=0)], [nic(devid=0)], ["nics[devid=0].mac"]),
        ("nics", [nic()], [nic(devid=0, bridge="b")], ["nics[0].devid", "nics[0].bridge"]),
        ("nics", [nic(devid=0)], [nic(devid=0), nic(devid=1)], ["nics[devid=1]"]),
        ("pcidevs", [pci(1)], [pci(2)], ["pcidevs[bdf=0000:03:01.0]", "pcidevs[bdf=0000:03:02.0]"]),
        (
            "p9s",
            [xl.DeviceP9(tag="t", path="/a")],
            [xl.DeviceP9(tag="t", path="/b")],
            ["p9s[tag=t].path"],
        ),
        ("dtdevs", [xl.DeviceDtdev(path="/a")], [], ["dtdevs[path=/a]"]),
    ],
)
def test_devices_are_matched_by_what_identifies_them(field, before, after, paths):
    found = compare(xl.DomainConfig(**{field: before}), xl.DomainConfig(**{field: after}))
    assert [difference.path for difference in found] == paths


def test_many_devices_cost_little():
    many = [nic(devid=0) for _ in range(3000)]
    assert compare(xl.DomainConfig(nics=many), xl.DomainConfig(nics=many[1:])) == [
        Difference("nics[devid=0]", {"devid": 0}, None)
    ]


def test_as_text():
    assert str(Difference("a", None, {"b": "é"})) == '+ a: {"b": "é"}'
    assert str(Difference("a", [1], None)) == "- a: [1]"
    assert str(Difference("a", 1, "x")) == '~ a: 1 → "x"'
