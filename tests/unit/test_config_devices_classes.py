"""The smaller classes of devices: usbctrl, usbdev, p9, vtpm, pvcalls, vdispl, vsnd, vfb, vkb; and what all
readers have in common.
"""

import uuid
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.diagnostics import Report
from xenwire.config.libxl.types import (
    ConnectorParam,
    DeviceP9,
    DevicePvcallsif,
    DeviceUsbctrl,
    DeviceUsbdev,
    DeviceUsbdevHostdev,
    DeviceVdispl,
    DeviceVfb,
    DeviceVkb,
    DeviceVsnd,
    DeviceVtpm,
    P9Type,
    SdlInfo,
    UsbctrlType,
    VkbBackend,
    VncInfo,
    VsndParams,
    VsndPcm,
    VsndPcmFormat,
    VsndStream,
    VsndStreamType,
)
from xenwire.config.libxl.version import XenVersion
from xenwire.config.parser import parse_settings
from xenwire.config.xl.devices.channel import read_channels
from xenwire.config.xl.devices.disk import read_disks
from xenwire.config.xl.devices.p9 import read_p9s
from xenwire.config.xl.devices.pci import read_dtdevs, read_pci_defaults, read_pcis
from xenwire.config.xl.devices.pieces import atoi, strtoul
from xenwire.config.xl.devices.pvcalls import read_pvcallsifs
from xenwire.config.xl.devices.usb import read_usbctrls, read_usbdevs
from xenwire.config.xl.devices.vdispl import read_vdispls
from xenwire.config.xl.devices.vfb import read_vfbs
from xenwire.config.xl.devices.vif import read_nics
from xenwire.config.xl.devices.vkb import read_vkbs
from xenwire.config.xl.devices.vsnd import read_vsnds
from xenwire.config.xl.devices.vtpm import read_vtpms
from xenwire.config.xl.facts import HostFacts
from xenwire.config.xl.reader import Reader

READERS = {
    "disk": read_disks,
    "vif": read_nics,
    "channel": read_channels,
    "pci": lambda reader: read_pcis(reader, read_pci_defaults(reader), hvm=True),
    "dtdev": read_dtdevs,
    "usbctrl": read_usbctrls,
    "usbdev": read_usbdevs,
    "p9": read_p9s,
    "vtpm": read_vtpms,
    "pvcalls": read_pvcallsifs,
    "vdispl": read_vdispls,
    "vsnd": read_vsnds,
    "vfb": read_vfbs,
    "vkb": partial(read_vkbs, first=0),
}
OLD = XenVersion(4, 17, 5)
V4_18 = XenVersion(4, 18, 0)
V4_19 = XenVersion(4, 19, 0)


def read(text, version=OLD):
    """Read the text of a single setting."""
    data = text.encode()
    report = Report("S", data)
    reader = Reader(parse_settings(data, report), report, HostFacts(version=version))
    return READERS[text.partition("=")[0]](reader), report


def said(report):
    return [(d.column, str(d.severity), d.message) for d in report.diagnostics()]


P9 = {"tag": "t", "path": "/p", "security_model": "none"}
UUID = uuid.UUID("ac0a5b9e-cbe2-4c07-b43b-1d69e46fb839")
TOUCH = "multi-touch-width, multi-touch-height, multi-touch-num-contacts"
MAIN = VsndPcm(name="Main")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("usbctrl=['', 'type=QUSB,version=2, ports=8']", [
            DeviceUsbctrl(devid=0),
            DeviceUsbctrl(devid=1, type=UsbctrlType.QUSB, version=2, ports=8)]),
        ("usbctrl=['ports=0x8']", [DeviceUsbctrl(devid=0)]),
        ("usbdev=['hostbus=0x1f,hostaddr=010,type=HostDev,controller=1,port=2']", [
            DeviceUsbdev(type=DeviceUsbdevHostdev(hostbus=31, hostaddr=8), ctrl=1, port=2)]),
        ("usbdev=['hostbus=300,type=hostdev']", [DeviceUsbdev(type=DeviceUsbdevHostdev(hostbus=44))]),
        ("usbdev=['hostbus=1,port=2']", [DeviceUsbdev(port=2)]),
        ("p9=['tag=t,path=/p,security_model=none', 'tag=u,backend=b', 'path=/q,junk,tag=v']", [
            DeviceP9(**P9),
            DeviceP9(**P9 | {"tag": "u"}, backend_domname="b"),
            DeviceP9(**P9 | {"tag": "u", "path": "/q"}, backend_domname="b")]),
        ("vtpm=['backend=1', ' backend=b,uuid=AC0A5B9E-cbe2-4c07-b43b-1d69e46fb839']", [
            DeviceVtpm(devid=0, backend_domname="1"),
            DeviceVtpm(devid=1, backend_domname="b", uuid=UUID)]),
        ("pvcalls=['', 'backend=a,backend=b', 'x,backend=c']", [
            DevicePvcallsif(devid=0),
            DevicePvcallsif(devid=1, backend_domname="b"),
            DevicePvcallsif(devid=2)]),
        ("vdispl=['backend=d,be-alloc=0x10,connectors=a:1x2;;b: 3x4junk']", [
            DeviceVdispl(devid=0, backend_domname="d", be_alloc=True, connectors=(
                ConnectorParam(unique_id="a", width=1, height=2),
                ConnectorParam(unique_id="b", width=3, height=4)))]),
        ("vsnd=[['Card, backend=b, short-name=s, long-name=l l', 'PCM, name=Main', 'stream, type=P']]", [
            DeviceVsnd(devid=0, backend_domname="b", short_name="s", long_name="l l",
                       pcms=(MAIN.replace(streams=(VsndStream(type=VsndStreamType.P),)),))]),
        ("vsnd=[['STREAM,unique-id=0', 'PCM', 'CARD, sample-rates=8000;0x10;x,sample-formats=S8;u32_be']]", [
            DeviceVsnd(
                devid=0,
                params=VsndParams(
                    sample_rates=(8000, 16, 0), sample_formats=(VsndPcmFormat.S8, VsndPcmFormat.U32_BE)),
                pcms=(VsndPcm(streams=(VsndStream(unique_id="0"),)), VsndPcm()))]),
        ("vsnd=[['', ['PCM'], 'PCM'], ['PCM, channels-min=1, channels-max=2, buffer-size=3']]", [
            DeviceVsnd(devid=0),
            DeviceVsnd(devid=1, pcms=(
                VsndPcm(params=VsndParams(channels_min=1, channels_max=2, buffer_size=3)),))]),
        ("vfb=['vnc=1,vnclisten=::1,vncdisplay=2x,vncunused=0,vncpasswd=,keymap=fr']", [
            DeviceVfb(devid=0, keymap="fr", vnc=VncInfo(
                enable=True, listen="::1", display=2, findunused=False, passwd=""))]),
        ("vfb=['', 'type=vnc, sdl=yes,opengl=-1,display=:0,xauthority=/x,vnc,vncdisplay=1']", [
            DeviceVfb(devid=0),
            DeviceVfb(devid=1, sdl=SdlInfo(enable=False, opengl=True, display=":0", xauthority="/x"))]),
        ("vkb=['backend-type=LINUX,backend=b,unique-id=u,width=0x10,height=020,feature-abs-pointer=2']", [
            DeviceVkb(devid=0, backend_type=VkbBackend.LINUX, backend_domname="b", unique_id="u",
                      width=16, height=16, feature_abs_pointer=True)]),
        ("vkb=['backend-type=qemu,feature-multi-touch=0,multi-touch-width=9']", [
            DeviceVkb(devid=0, backend_type=VkbBackend.QEMU, feature_multi_touch=True, multi_touch_width=9)]),
    ],
)  # fmt: skip
def test_values(text, wanted):
    got, report = read(text)
    assert got == tuple(wanted)
    assert not report.failed
    assert (report.xl_words, report.xl_status) == (b"", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("usbctrl=['speed=3']", "Unknown string `speed=3' in usbctrl spec\n"),
        ("usbctrl=[' ']", "Unknown string `' in usbctrl spec\n"),
        ("usbctrl=['type=xhci']", "Invalid usb controller type 'xhci'\n"),
        ("usbdev=['hostbus']", "Unknown string `hostbus' in usbdev spec\n"),
        ("usbdev=['type=x']", "Invalid usb device type: (null)\n"),
        ("p9=['tag=t,path=/p']", "9pfs spec missing required field!\n"),
        ("p9=['tag=t,path=/p,x,security_model=none']", "9pfs spec missing required field!\n"),
        ("p9=['tag =t']", "Unknown string `tag ' in 9pfs spec\n"),
        ("vtpm=['']", "vtpm spec missing required backend field!\n"),
        ("vtpm=['x,backend=b']", "vtpm spec missing required backend field!\n"),
        ("vtpm=['backend=b,uuid=1']", "Failed to parse vtpm UUID: 1\n"),
        ("vtpm=['backend=a,version=2']", "Unknown string `version' in vtpm spec\n"),
        ("pvcalls=['front=1']", "Unknown string `front' in pvcalls spec\n"),
        ("vdispl=['backend=0']", "At least one connector should be specified.\n"),
        ("vdispl=['connectors=a:1-2']", "Can't parse connector resolution\n"),
        ("vdispl=['connectors=a: ']", "Can't parse connector resolution\n"),
        ("vdispl=['size=1']", 'Unknown string "size=1" in vdispl spec\n'),
        (
            "vsnd=['CARD']",
            "S:1:0: warning: value is not a list\nFailed to get vsnd card list: Invalid argument\n",
        ),
        ("vsnd=[['CARD , x=1']]", "Invalid key: CARD \n"),
        ("vsnd=[['STREAM, id=0']]", "Invalid parameter: id=0\n"),
        ("vsnd=[['PCM, short-name=x']]", "Invalid parameter: short-name=x\n"),
        ("vsnd=[['STREAM, type=x']]", "Invalid stream type: x\n"),
        ("vsnd=[['CARD, sample-formats=s8;x']]", "Invalid pcm format: x\n"),
        ("vkb=['']", "backend-type should be set in vkb spec\n"),
        ("vkb=['backend-type=unknown']", "backend-type should be set in vkb spec\n"),
        ("vkb=['backend-type=x']", 'Unknown backend_type "x" in vkb spec\n'),
        ("vkb=['backend-type=qemu,x']", 'Unknown string "x" in vkb spec\n'),
        (
            "vkb=['backend-type=qemu,feature-multi-touch=1,multi-touch-width=0']",
            f"{TOUCH} should be set for multi touch in vkb spec\n",
        ),
    ],
)
def test_words_of_xl(text, words):
    _, report = read(text)
    assert (report.xl_words.decode(), report.xl_status) == (words, 1)
    assert report.failed


@pytest.mark.parametrize(
    "text",
    [
        "vdispl=['connectors=']",
        "vdispl=['connectors=a']",
        "vdispl=['connectors=a:']",
        "vsnd=[['CARD, sample-rates=;']]",
    ],
)
def test_what_crashes_xl_is_an_error(text):
    _, report = read(text)
    assert (report.xl_words, report.xl_status) == (b"", -11)
    assert report.failed


def test_a_resolution_without_any_number_is_lost():
    got, report = read("vdispl=['connectors=a:1x2;b:x;c:3x4']")
    first = ConnectorParam(unique_id="a", width=1, height=2)
    assert got[0].connectors == (first, ConnectorParam(unique_id="b"), ConnectorParam())
    assert (report.xl_words, report.xl_status) == (b"Can't parse connector resolution\n", None)
    assert said(report) == [(21, "warning", "not a resolution: x")]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("usbctrl=['ports=0x8']", 17, "ports=0x8 counts as 0"),
        ("usbctrl=['ports=1,ports=2']", 19, "ports is given again; the earlier one is ignored"),
        ("usbdev=['hostbus=300,type=hostdev']", 18, "hostbus=300 counts as 44"),
        ("usbdev=['hostbus=1']", 10, "a USB device without a type: xl loses what is said of it"),
        ("pvcalls=[' x,backend=b']", 12, "not a key=value: x"),
        ("vfb=['type=vnc']", 7, "unknown parameter type, ignored"),
        ("vfb=['vnc=yes']", 11, "vnc=yes counts as 0"),
        ("vkb=['backend-type=qemu,feature-raw-pointer=yes']", 45, "feature-raw-pointer=yes counts as 0"),
        ("vsnd=[['CARD, sample-rates=8k']]", 28, "8k counts as 8"),
        ("vsnd=[['CARD', ['PCM']]]", 16, "a sound card wants texts, but this item is a list"),
        (
            "p9=['tag=t,path=/p,security_model=none', 'path=/q']",
            43,
            "a p9 without tag, security_model: before Xen 4.18 it takes over those of an earlier p9",
        ),
    ],
)
def test_warnings_where_xl_is_silent(text, column, message):
    _, report = read(text)
    assert said(report) == [(column, "warning", message)]
    assert report.xl_words == b""


def test_keyboards_follow_those_of_frame_buffers():
    report = Report("S", b"vkb=['backend-type=qemu','backend-type=qemu']")
    reader = Reader(
        parse_settings(b"vkb=['backend-type=qemu','backend-type=qemu']", report), report, HostFacts()
    )
    assert [vkb.devid for vkb in read_vkbs(reader, first=2)] == [2, 3]


def test_p9_of_4_18():
    got, report = read("p9=[' tag = t , path = /a=b , security_model = none ']", V4_18)
    assert got == (DeviceP9(tag="t", path="/a=b", security_model="none"),)
    for item, words in [
        ("tag=t,path=/p", b"9pfs spec missing required field!\n"),
        ("tag=t,path", b"failed to parse 9pfs configuration: path"),
        ("tgg=t", b"Unknown 9pfs parameter 'tgg'\n"),
    ]:
        _, report = read(f"p9=['tag=t,path=/p,security_model=none','{item}']", V4_18)
        assert (report.xl_words, report.xl_status) == (words, 1)
    assert read("p9=['']", V4_18)[1].xl_status == -11


def test_p9_of_4_19():
    got, report = read("p9=['type=XEN_9PFSD,max-files=5,max-space=1,max-open-files=2,auto-delete=1']", V4_19)
    assert got == (
        DeviceP9(
            type=P9Type.XEN_9PFSD,
            path="/var/log/xen/guests/",
            max_files=5,
            max_space=1,
            max_open_files=2,
            auto_delete=True,
        ),
    )
    assert said(report) == [(6, "warning", "a p9 without security_model: such a domain cannot be created")]
    assert read("p9=['type=x']", V4_19)[1].xl_words == b"failed to parse 9pfs type: x\n"
    assert read("p9=['max-files=x']", V4_19)[1].xl_words == b'xl: failed to convert "x" to number\n'


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"12x", 12), (b" -3", -3), (b"x", 0), (b"4294967296", 0), (b"9" * 50, -1), (b"-" + b"9" * 50, 0)],
)
def test_atoi(text, number):
    assert atoi(text)[0] == number


@pytest.mark.parametrize(
    ("text", "base", "number"),
    [(b"010", 0, 8), (b"0x1fg", 0, 31), (b"-1", 0, 2**64 - 1), (b"9" * 50, 0, 2**64 - 1), (b"0x1f", 16, 31)],
)
def test_strtoul(text, base, number):
    assert strtoul(text, base)[0] == number


WORDS = (
    b", = ; : @ x 1 - \xff type path backend connection connectors= CARD, sample-rates= rate= mac= 01:00.0"
)
ANY = st.lists(st.sampled_from([b" ", b"\n", b"\t", *WORDS.split()]), max_size=8).map(b"".join)
QUOTED = {byte: bytes([92, byte]) for byte in b"\\'"} | {10: b"\\n"}


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(READERS)),
    st.lists(ANY, max_size=3),
    st.sampled_from([OLD, V4_18, V4_19]),
    st.booleans(),
)
def test_whatever_is_written_there_is_an_answer(key, items, version, nested):
    texts = [b"'" + b"".join(QUOTED.get(byte, bytes([byte])) for byte in item) + b"'" for item in items]
    listed = b"[" + b",".join(texts) + b"]"
    data = key.encode() + b"=" + (b"[" + listed + b"]" if nested else listed)
    report = Report("S", data)
    reader = Reader(parse_settings(data, report), report, HostFacts(version=version))
    assert len(READERS[key](reader)) <= len(items) + nested
    assert not report.failed or report.xl_status is not None
    for diagnostic in report.diagnostics():
        assert diagnostic.line == 1
