"""The keys `pci`, `pci_…` and `dtdev`: values, addresses, xl's words and our own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.diagnostics import Report
from xenwire.config.libxl.types import DeviceDtdev, DevicePci, RdmReservePolicy
from xenwire.config.parser import parse_settings
from xenwire.config.xl.devices.pci import read_dtdevs, read_pci_defaults, read_pcis
from xenwire.config.xl.facts import HostFacts
from xenwire.config.xl.reader import Reader

ALL = 2**32 - 1


def read(text, *, hvm=True):
    data = text.encode()
    report = Report("S", data)
    reader = Reader(parse_settings(data, report), report, HostFacts())
    return read_pcis(reader, read_pci_defaults(reader), hvm=hvm), report


def said(report):
    return [(d.column, str(d.severity), d.message) for d in report.diagnostics()]


@pytest.mark.parametrize(
    ("item", "fields"),
    [
        ("01:00.0", {"bus": 1}),
        ("0000:02:1f.7@1e", {"bus": 2, "dev": 31, "func": 7, "vdevfn": 240}),
        ("ffff:FF:1f.*", {"domain": 0xFFFF, "bus": 255, "dev": 31, "vfunc_mask": ALL}),
        ("bdf=1:2.3,vslot=5", {"bus": 1, "dev": 2, "func": 3, "vdevfn": 40}),
        ("1:2.*,bdf=3:4.5", {"bus": 3, "dev": 4, "func": 5}),
        ("bdf=1:2.3junk,vslot=5junk", {"bus": 1, "dev": 2, "func": 3, "vdevfn": 40}),
        ("01: +0x2.0", {"bus": 1, "dev": 2}),
        ("1:2.3,", {"bus": 1, "dev": 2, "func": 3}),
        ("1:2.3,seize=1,power_mgmt=2x,msitranslate=-1,permissive=yes", {
            "bus": 1, "dev": 2, "func": 3, "seize": True, "power_mgmt": True, "msitranslate": True}),
        ("1:2.3,rdm_policy=RELAXED", {"bus": 1, "dev": 2, "func": 3, "rdm_policy": RdmReservePolicy.RELAXED}),
        ("name=a", {"name": "a", "vfunc_mask": 0}),
    ],
)  # fmt: skip
def test_values(item, fields):
    (pci,), report = read(f"pci=['{item}']")
    assert pci == DevicePci(**{"vfunc_mask": 1, **fields})
    assert not report.failed
    assert report.xl_words == b""


@pytest.mark.parametrize(
    ("item", "words", "status"),
    [
        ("", "", 6),
        ("01:00", "", 6),
        ("01:00.8", "", 6),
        ("01:20.0", "", 6),
        ("100:00.0", "", 6),
        ("10000:01:00.0", "", 6),
        (" 01:00.0", "", 6),
        ("01:00.0@20", "", 6),
        ("01:00.0@", "", 6),
        ("01:00.0y,seize=1", "", 6),
        ("01:00.0,permissive", "", 6),
        ("01:00.0,vslot=x", "", 6),
        ("01:00.0,name=a", "", 6),
        ("seize=1", "", 6),
        ("bdf=1", "", 6),
        ("01:00.0,slot=1", "Unknown PCI_SPEC_STRING option: slot", 6),
        ("01:00.0,seize,permissive=1", "Unknown PCI_SPEC_STRING option: seize,permissive", 6),
        ("01:00.8,seize=1", "Unknown PCI_SPEC_STRING option: 01:00.8,seize", 6),
        ("01:00.0,rdm_policy=x", "Unknown RDM policy: x", 3),
    ],
)
def test_words_of_xl(item, words, status):
    _, report = read(f"pci=['{item}']")
    assert report.xl_words.decode() == f"{words}unable to parse PCI_SPEC_STRING `{item}' for passthrough\n"
    assert report.xl_status == status
    assert report.failed


def test_defaults_of_other_keys_and_of_the_guest():
    pcis, _ = read("pci=['1:0.0','1:0.1,seize=0']\npci_seize=1\npci_power_mgmt=4294967296", hvm=False)
    default = DevicePci(bus=1, vfunc_mask=1, seize=True, rdm_policy=RdmReservePolicy.STRICT)
    assert pcis == (default, default.replace(func=1, seize=False))


def test_errors_of_several_items_and_warnings():
    _, report = read("pci=['01:00.9', '01:00.0,permissive', '1:2.3,permisive=1', 'bdf=1:2.3@5,seize=yes']")
    assert said(report) == [
        (7, "error", "not a PCI address: 01:00.9"),
        (26, "error", "not a key=value: permissive"),
        (46, "error", "unknown parameter permisive"),
        (70, "warning", "xl overlooks what follows 1:2.3 here: @5"),
        (79, "warning", "seize=yes counts as 0"),
    ]
    assert [d.hint for d in report.diagnostics()][1:3] == ["write permissive=…", "did you mean permissive?"]


def test_device_tree_nodes():
    data = b"dtdev=['/soc/uart@1', ['/x'], '/y']"
    report = Report("S", data)
    got = read_dtdevs(Reader(parse_settings(data, report), report, HostFacts()))
    assert got == (DeviceDtdev(path="/soc/uart@1"),)


@settings(max_examples=200)
@given(
    st.none() | st.integers(0, 0x10FFF),
    st.integers(0, 0x11F),
    st.integers(0, 0x2F),
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 0x2F),
)
def test_addresses(domain, bus, device, function, slot):
    text = "" if domain is None else f"{domain:04x}:"
    text += f"{bus:02x}:{device:02X}." + ("*" if function is None else f"{function:x}")
    text += "" if slot is None else f"@{slot:x}"
    (pci,), report = read(f"pci=['{text}']")
    good = (domain or 0) <= 0xFFFF and bus <= 0xFF and device <= 0x1F and (function or 0) <= 7
    assert report.failed == (not good or (slot or 0) > 0x1F)
    if not report.failed:
        assert pci == DevicePci(
            domain=domain or 0,
            bus=bus,
            dev=device,
            func=function or 0,
            vfunc_mask=ALL if function is None else 1,
            vdevfn=(slot or 0) * 8,
        )
