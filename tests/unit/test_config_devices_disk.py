"""The key `disk`: the scanner's rules, the values, xl's words and our own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.diagnostics import Report
from xenwire.config.libxl.types import DeviceDisk, DiskBackend, DiskFormat, DiskSpecification
from xenwire.config.libxl.version import XenVersion
from xenwire.config.parser import parse_settings
from xenwire.config.xl.devices.disk import read_disks
from xenwire.config.xl.devices.disk_scanner import DiskForm, scan_disk
from xenwire.config.xl.facts import HostFacts
from xenwire.config.xl.reader import Reader

V4_17 = XenVersion(4, 17, 5)
V4_18 = XenVersion(4, 18, 0)
V4_19 = XenVersion(4, 19, 0)


def read(item, version=V4_17):
    data = b'disk=["' + item.encode("unicode_escape") + b'"]'
    report = Report("S", data)
    (disk,) = read_disks(Reader(parse_settings(data, report), report, HostFacts(version=version)))
    return disk, report


def said(report):
    return [(d.column, str(d.severity), d.message) for d in report.diagnostics()]


def disk(**fields):
    return DeviceDisk(**{"readwrite": 1, "format": DiskFormat.RAW, **fields})


CDROM = {"is_cdrom": 1, "removable": 1, "readwrite": 0}


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        ("/a,raw,xvda,rw", disk(pdev_path="/a", vdev="xvda")),
        ("/a,,xvda", disk(pdev_path="/a", vdev="xvda")),
        ("/a,qed,xvda,ro", disk(pdev_path="/a", vdev="xvda", format=DiskFormat.QED, readwrite=0)),
        ("/a,xvda,format=vhd", None),
        ("format=vhd,/a,xvda", disk(pdev_path="/a", vdev="xvda", format=DiskFormat.VHD)),
        ("vdev=xvda,target=/a,raw,x", disk(pdev_path="/a,raw,x", vdev="xvda")),
        ("vdev=xvda,target=/a,", disk(pdev_path="/a", vdev="xvda")),
        ("vdev=xvda,target=a=b", disk(pdev_path="a=b", vdev="xvda")),
        ("vdev=xvda,vdev=xvda,target=", None),
        ("vdev=,vdev=xvda,target=/a", disk(pdev_path="/a", vdev="xvda")),
        ("format=raw,format=,vdev=xvda,target=/a", disk(pdev_path="/a", vdev="xvda")),
        (",hdc:cdrom,r", disk(pdev_path="", vdev="hdc", format=DiskFormat.EMPTY, **CDROM)),
        (",empty,hdc,,cdrom", disk(pdev_path="", vdev="hdc", format=DiskFormat.EMPTY, **CDROM)),
        ("cdrom,vdev=hdc", disk(vdev="hdc", format=DiskFormat.EMPTY, **CDROM)),
        ("/i,raw,hdc:cdrom", disk(pdev_path="/i", vdev="hdc", **CDROM)),
        ("/i,raw,hda:disk", disk(pdev_path="/i", vdev="hda")),
        ("/i,raw,a:b:disk", disk(pdev_path="/i", vdev="a:b")),
        ("cdrom,devtype=disk,/i,,hda", disk(pdev_path="/i", vdev="hda")),
        ("phy:/a,xvda,r", disk(pdev_path="/a", vdev="xvda", readwrite=0)),
        ("tap:aio:/a,xvda", disk(pdev_path="/a", vdev="xvda")),
        ("tap2:qcow2:/a,xvda", disk(pdev_path="/a", vdev="xvda", format=DiskFormat.QCOW2)),
        ("nbd:host,xvda", disk(pdev_path="host", vdev="xvda", script="block-nbd")),
        ("foo:bar,raw,xvda", disk(pdev_path="foo:bar", vdev="xvda")),
        ("/a,,xvda,colo-port=80x", disk(pdev_path="/a", vdev="xvda", colo_port=80)),
        (
            "colo,colo-host=h,colo-export=e,active-disk=a,hidden-disk=b,/a,,xvda",
            disk(
                pdev_path="/a",
                vdev="xvda",
                colo_enable=True,
                colo_host="h",
                colo_export="e",
                active_disk="a",
                hidden_disk="b",
            ),
        ),
        (
            "backendtype=tap,specification=virtio,backend=d,script=s,no-discard,direct-io-safe,vdev=x,target=/a",
            disk(
                pdev_path="/a",
                vdev="x",
                backend=DiskBackend.TAP,
                specification=DiskSpecification.VIRTIO,
                backend_domname="d",
                script="s",
                discard_enable=False,
                direct_io_safe=True,
            ),
        ),
        ("\t\n /a , raw,xvda", disk(pdev_path="/a ", vdev="xvda")),
        (" a\nb,raw,xvda", disk(pdev_path=" a\nb", vdev="xvda")),
        (" /a, raw,xvda", disk(pdev_path="/a", vdev="xvda")),
        ("vdev=xvda,target=/a\n,ro", disk(pdev_path="/a", vdev="xvda", readwrite=0)),
        ("/a,raw,xvda,w=", disk(pdev_path="/a", vdev="xvda")),
    ],
)
def test_values(item, wanted):
    got, report = read(item)
    assert report.failed == (report.xl_status is not None) == (wanted is None)
    if wanted is not None:
        assert got == wanted
        assert report.xl_words == b""


@pytest.mark.parametrize(
    ("item", "messages"),
    [
        ("", ["no vdev specified"]),
        ("vdev=a", ["no target specified (and device not removable)"]),
        ("devtype=x,/a,raw,b", ["unknown value for type: near `devtype=x,'"]),
        ("cache=none,/a,raw,b", ["unknown parameter: near `cache=n'"]),
        ("cache=n,/a,raw,b", ["unknown parameter: near `cache=n,'"]),
        ("cache=,/a", ["bad disk syntax: near `=,/a'"]),
        ("Cache=n,/a", ["bad disk syntax: near `=n,/a'"]),
        ("foo:/a,b,c", ["unknown deprecated disk prefix: near `foo:'"]),
        ("foo:", ["unknown deprecated disk prefix: near `foo:'"]),
        ("phy:/a,b:c", ["unknown deprecated type: near `c'"]),
        ("phy:/a,raw,b", ["unknown value for access: near `b'"]),
        ("/a,raw,b,w,x,y", ["too many positional parameters: near `x'"]),
        ("qcow:format=raw,/a,b", ["format respecified: near `raw'"]),
        ("backendtype=phy,backendtype=tap,specification=xen,specification=virtio,/a,,b",
         ["backend respecified: near `tap'", "specification respecified: near `virtio'"]),
        ("nbd:iscsi:/a,b", ["script respecified: near `block-iscsi'"]),
        ("colo-port=x,colo-host=a,colo-host=b,/a,,b",
         ["unknown value for colo_port: near `x'", "colo-host respecified: near `b'"]),
        ("access=x,format=y,a,b,c",
         ["unknown value for access: near `x'", "unknown value for format: near `y'"]),
        ("untrusted,vdev=b,target=/a", ["target respecified: near `/a'"]),
    ],
)  # fmt: skip
def test_words_of_xl(item, messages):
    _, report = read(item)
    prefix = "S: config parsing error in disk specification: "
    assert report.xl_words.decode() == "".join(f"{prefix}{message} in `{item}'\n" for message in messages)
    assert report.xl_status == 1
    assert len([d for d in report.diagnostics() if d.severity == "error"]) == len(messages)


def test_scanner_of_xl_fails_at_a_newline():
    _, report = read("/a=\n")
    assert (report.xl_words, report.xl_status) == (b"flex scanner jammed\n", 2)


def test_first_bad_item_ends_what_xl_says():
    data = b'disk=["/a", "/b"]'
    report = Report("S", data)
    read_disks(Reader(parse_settings(data, report), report, HostFacts()))
    assert report.xl_words.endswith(b"no vdev specified in `/a'\n")
    assert said(report) == [(8, "error", "a disk without a vdev"), (14, "error", "a disk without a vdev")]


@pytest.mark.parametrize(
    ("item", "column", "message"),
    [
        ("phy:/a,xvda,w", 8, "the prefix phy: is deprecated"),
        ("iscsi:/a,xvda,w", 8, "the prefix iscsi: is deprecated"),
        ("/a,raw,hdc:cdrom", 19, "the type cdrom after a colon is deprecated"),
        ("vdev=xvda ,target=/a", 17, "vdev ends with a blank, which is a part of it"),
        ("vdev=x,trusted", 15, "trusted is taken for the target"),
        ("/a,,xvda,w=", 18, "xl overlooks a = at the end of a disk"),
        (
            "vdev=x,target=/a, ro,access=ro",
            28,
            "the target goes on to the end of the item: what looks like a parameter here is a part of it",
        ),
    ],
)
def test_warnings_where_xl_is_silent(item, column, message):
    _, report = read(item)
    assert (column, "warning", message) in said(report)
    assert (report.xl_words, report.xl_status) == (b"", None)


def test_places_and_hints():
    _, report = read("vdev=xvda,fromat=raw,backendtype=phi,target=/a")
    first, second = report.diagnostics()
    assert (first.column, first.hint) == (18, "did you mean format?")
    assert (second.column, second.hint) == (41, "did you mean phy?")


def test_flags_of_later_releases():
    assert read("/a,,x,untrusted,grant_usage=1", V4_19)[0].replace(format=DiskFormat.RAW) == disk(
        pdev_path="/a", vdev="x", trusted=False, grant_usage=True
    )
    assert read("/a,,x,w,trusted", V4_19)[0].trusted is True
    assert read("/a,,x,w,trusted", V4_18)[1].failed
    assert "before 4.19" in read("/a,,x,w,trusted", V4_18)[1].diagnostics()[0].hint


def test_many_errors_of_a_long_item():
    _, report = read("a=b," * 5000)
    assert len(report.xl_words) < 2**21
    assert len(report.diagnostics()) == 21


VALUES = st.text("abc/ :", max_size=6)
PARAMETERS = st.fixed_dictionaries(
    {"vdev": VALUES},
    optional={
        "format": st.sampled_from(["raw", "qcow", "qcow2", "vhd", "qed"]),
        "access": st.sampled_from(["r", "ro", "w", "rw", ""]),
        "backendtype": st.sampled_from(["phy", "tap", "qdisk", "standalone"]),
        "script": VALUES,
        "backend": VALUES,
    },
)


@settings(max_examples=100)
@given(PARAMETERS, st.text("abc/, =", max_size=8), st.data())
def test_named_parameters_in_any_order(parameters, target, data):
    names = data.draw(st.permutations(sorted(parameters)))
    item = ",".join([*(f"{name}={parameters[name]}" for name in names), f"target={target}"])
    got, report = read(item)
    assert not report.failed
    assert got == disk(
        pdev_path=target.removesuffix(","),
        vdev=parameters["vdev"],
        format=DiskFormat[parameters.get("format", "raw").upper()],
        readwrite=int("r" not in parameters.get("access", "w") or parameters.get("access") == "rw"),
        backend=DiskBackend[parameters.get("backendtype", "unknown").upper()],
        script=parameters.get("script"),
        backend_domname=parameters.get("backend"),
    )


PARTS = st.sampled_from(
    [
        b"phy:",
        b"foo:",
        b"raw",
        b"cdrom",
        b"vdev=",
        b"target=",
        b"x=y",
        b",",
        b"=",
        b" ",
        b"\n",
        b"\t",
        b"A",
        b"7",
    ]
)


@settings(max_examples=200)
@given(st.lists(PARTS, max_size=12).map(b"".join), st.booleans())
def test_tokens_follow_each_other(value, trust_flags):
    at = 0
    for token in scan_disk(value, trust_flags=trust_flags):
        assert not value[at : token.at].strip(b" \t\n")
        assert value[token.at :].startswith(token.text)
        assert token.text
        at = token.at + len(token.text)
        assert (token.text[:1] == b"=") == (token.form is DiskForm.BAD)
    assert not value[at:].strip(b" \t\n")
