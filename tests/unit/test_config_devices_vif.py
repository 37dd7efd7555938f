"""The key `vif`: values, the arithmetic of rates, xl's words and our own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.diagnostics import Report
from xenwire.config.libxl.types import DeviceNic, NicType
from xenwire.config.libxl.version import XenVersion
from xenwire.config.parser import parse_settings
from xenwire.config.xl.devices.vif import BadRate, parse_rate, read_nics
from xenwire.config.xl.facts import HostFacts, XlConf
from xenwire.config.xl.reader import Reader


def read(items, facts=None):
    data = f"vif=[{items}]".encode()
    report = Report("S", data)
    return read_nics(Reader(parse_settings(data, report), report, facts or HostFacts())), report


def said(report):
    return [(d.column, str(d.severity), d.message) for d in report.diagnostics()]


@pytest.mark.parametrize(
    ("item", "fields"),
    [
        ("", {}),
        (",,", {}),
        ("type=ioemu", {"nictype": NicType.VIF_IOEMU}),
        ("type=vif,type=emu", {"nictype": NicType.VIF}),
        ("mac=00:16:3E:01:02:FF", {"mac": "00:16:3e:01:02:ff"}),
        ("mac=0-16-3e-1-2-3", {"mac": "00:16:3e:01:02:03"}),
        ("mac=00:16:3e:01:02:03:04", {"mac": "00:16:3e:01:02:03"}),
        ("mac=00:16:zz", {"mac": "00:16:00:00:00:00"}),
        ("mac=00:16:3e:01:02:", {"mac": "00:16:3e:01:02:00"}),
        ("mac=100000001:0x2: +3:4:5:6", {"mac": "01:02:03:04:05:06"}),
        ("mac=00:16:100:01:02:03", {"mac": "00:16:00:00:00:00"}),
        ("mac=zz", {}),
        ("bridge=a,bridge=b", {"bridge": "b"}),
        ("netdev=a", {"gatewaydev": "a"}),
        ("vifname=a,backend=b", {"ifname": "a", "backend_domname": "b"}),
        ("forwarddev=c", {"coloft_forwarddev": "c"}),
        ("colo_checkpoint_port=9", {"colo_checkpoint_port": "9"}),
        ("mtu=1500xyz,devid=7", {"mtu": 1500, "devid": 7}),
        ("mtu=-2,devid=4294967296", {"mtu": -2, "devid": 0}),
        ("trusted", {"trusted": True}),
        (" trusted,untrusted", {"trusted": False}),
        ("bridge =a", {}),
        ("Bridge=a", {}),
        ("\tbridge=a", {}),
        ("vlan=1", {}),
        ("rate=10Mb/s", {"rate_bytes_per_interval": 62500, "rate_interval_usecs": 50000}),
    ],
)  # fmt: skip
def test_values(item, fields):
    (nic,), report = read(f"'{item}'")
    assert nic == DeviceNic(**{"devid": 0, **fields})
    assert not report.failed
    assert report.xl_status is None


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (" ", "unrecognized argument `'\n"),
        ("brigde=a,x", "unrecognized argument `brigde=a'\nunrecognized argument `x'\n"),
        ("trusted=1", "unrecognized argument `trusted=1'\n"),
        ("type=emu", "Invalid parameter `type'.\n"),
        ("mac=zz:16", "Invalid parameter `mac'.\n"),
        ("accel=1", "the accel parameter for vifs is currently not supported\n"),
        ("netdev=a", "the netdev parameter is deprecated, please use gatewaydev instead\n"),
    ],
)
def test_words_of_xl_which_goes_on(item, words):
    _, report = read(f"'{item}'")
    assert (report.xl_words.decode(), report.xl_status) == (words, None)
    assert {d.severity for d in report.diagnostics()} == {"warning"}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("mtu=big", 'xl: failed to convert "big" to number\n'),
        ("devid=-1", 'xl: failed to convert "-1" to number\n'),
        ("mtu=99999999999999999999", 'xl: failed to convert "99999999999999999999" to number\n'),
        ("rate=", "S: config parsing error in vif: no rate specified in `'\n"),
        ("rate=@20ms", "S: config parsing error in vif: no rate specified in `@20ms'\n"),
        ("rate=10mb/s", "S: config parsing error in vif: invalid rate in `10mb/s'\n"),
        ("rate=08B/s", "S: config parsing error in vif: rate overflow in `08B/s'\n"),
        ("rate=4294967296B/s@1s", "S: config parsing error in vif: rate overflow in `4294967296B/s'\n"),
        ("rate=1B/s@", "S: config parsing error in vif: invalid replenishment interval in `'\n"),
        ("rate=1B/s@4295s", "S: config parsing error in vif: replenishment interval overflow in `4295s'\n"),
        ("rate=4294967295GB/s@9s", "S: config parsing error in vif: rate overflow in `4294967295GB/s@9s'\n"),
    ],
)  # fmt: skip
def test_words_of_xl_which_gives_up(item, words):
    _, report = read(f"'{item}'")
    assert (report.xl_words.decode(), report.xl_status) == (words, 1)
    assert report.failed


def test_a_short_mac_is_an_error():
    _, report = read("'bridge=a,mac=00:16:3e'")
    assert said(report) == [(20, "error", "a mac with less than six groups: 00:16:3e")]


def test_devices_are_numbered_and_errors_have_places():
    nics, report = read("'bridge=a', 'mtu=x', 'brigde=c'")
    assert [nic.devid for nic in nics] == [0, 1, 2]
    assert said(report) == [
        (23, "error", "not a number: mtu=x"),
        (28, "warning", "unknown parameter of a network card: brigde=c, ignored"),
    ]
    assert report.diagnostics()[1].hint == "did you mean bridge?"


def test_warnings_where_xl_is_silent():
    _, report = read("'mtu=1500x,bridge=a,bridge=b,mac=0:1:2:3:4:5:6,rate=010B/s'")
    assert said(report) == [
        (11, "warning", "mtu=1500x counts as 1500"),
        (26, "warning", "bridge is given again; the earlier one is ignored"),
        (50, "warning", "xl overlooks this after the mac: :6"),
        (58, "warning", "xl reads a number that starts with 0 as octal: 010B/s"),
    ]
    assert report.xl_words == b""


def test_defaults_of_xl_conf():
    conf = XlConf(vif_script="s", vif_bridge="b", vif_gatewaydev="g", vif_backend="d")
    nics, _ = read("'', 'bridge=x'", HostFacts(conf=conf))
    default = DeviceNic(devid=0, script="s", bridge="b", gatewaydev="g", backend_domname="d")
    assert nics == (default, default.replace(devid=1, bridge="x"))


def test_vlan_of_later_releases():
    nics, report = read("'vlan=1'", HostFacts(version=XenVersion(4, 19, 0)))
    assert nics[0].vlan == "1"
    assert report.diagnostics() == ()


SCALES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
INTERVALS = {"": 10**6, "s": 10**6, "m": 10**3, "ms": 10**3, "u": 1, "us": 1}


@settings(max_examples=200)
@given(
    st.integers(1, 2**32 + 1),
    st.sampled_from(sorted(SCALES)),
    st.sampled_from("bB"),
    st.none() | st.tuples(st.integers(0, 2**32 + 1), st.sampled_from(sorted(INTERVALS))),
)
def test_arithmetic_of_rates(number, scale, unit, interval):
    per_second = number * SCALES[scale] // (8 if unit == "b" else 1)
    usecs = interval[0] * INTERVALS[interval[1]] if interval else 50_000
    text = f"{number}{scale}{unit}/s" + (f"@{interval[0]}{interval[1]}" if interval else "")
    if number < 2**32 and 0 < usecs < 2**32 and per_second <= (2**64 - 1) // usecs:
        assert parse_rate(text.encode()) == (per_second * usecs // 10**6, usecs)
    else:
        with pytest.raises(BadRate):
            parse_rate(text.encode())


@pytest.mark.parametrize(
    ("rate", "result"),
    [
        (b"010B/s@1s", (8, 10**6)),
        (b"018Mb/s@1s", (1, 10**6)),  # octal 1, and no unit where xl looks for one
        (b"018b/s@1s", (0, 10**6)),
        (b"1B/s@018ms", (0, 1)),
    ],
)
def test_leading_zero_of_a_rate(rate, result):
    assert parse_rate(rate) == result
