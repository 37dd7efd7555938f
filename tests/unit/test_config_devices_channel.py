"""The key `channel`: what xl makes of it in its releases, and what Xenwire has beyond that."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.config.diagnostics import Report
from xenwire.config.libxl.types import (
    DeviceChannel,
    DeviceChannelNone,
    DeviceChannelPath,
    DeviceChannelPty,
    DeviceChannelSocket,
)
from xenwire.config.libxl.version import XenVersion
from xenwire.config.parser import parse_settings
from xenwire.config.xl.devices.channel import read_channels
from xenwire.config.xl.facts import HostFacts
from xenwire.config.xl.reader import Reader

OLD = XenVersion(4, 17, 5)
NEW = XenVersion(4, 21, 0)
NO_KIND = b"channel has unknown 'connection'\n"


def read(*items, version=OLD):
    data = b"channel=[" + ", ".join(f"'{item}'" for item in items).encode() + b"]"
    report = Report("S", data)
    return read_channels(Reader(parse_settings(data, report), report, HostFacts(version=version))), report


def said(report):
    return [(d.column, str(d.severity), d.message) for d in report.diagnostics()]


def messages(report):
    return [d.message for d in report.diagnostics()]


@pytest.mark.parametrize(
    ("item", "fields"),
    [
        ("connection=pty,name=a", {"connection": DeviceChannelPty()}),
        (" name = a , connection =\tpty ,,", {"connection": DeviceChannelPty()}),
        ("connection=pty,name=a,backend=d", {"backend_domname": "d", "connection": DeviceChannelPty()}),
        ("connection=socket,name=b,name=a,path=/x y", {"connection": DeviceChannelSocket(path="/x y")}),
        ("connection=pty,path=/x,name=a", {"connection": DeviceChannelPty()}),
        ("connection=socket,path= ,name=a", {"connection": DeviceChannelSocket(path="")}),
        ("=connection==pty=x,name=a", {"connection": DeviceChannelPty()}),
        ("connection=socket,path=/a=b,name=a", {"connection": DeviceChannelSocket(path="/a")}),
    ],
)  # fmt: skip
def test_values_as_in_xl(item, fields):
    channels, report = read(item)
    assert channels == (DeviceChannel(devid=0, name="a", **fields),)
    assert (report.xl_words, report.xl_status) == (b"", None)


@pytest.mark.parametrize(
    ("item", "words", "status"),
    [
        ("", b"", -11),
        (",", b"", -11),
        ("connection=pty,console", b"failed to parse channel configuration: console", 1),
        (" name=", b"failed to parse channel configuration:  name=", 1),
        ("==", b"failed to parse channel configuration: ==", 1),
        ("connection=tcp", b"unknown channel connection 'tcp'\n", 1),
        ("connection= PTY ", b"unknown channel connection 'PTY'\n", 1),
        ("connection=pty,connection= ", b"unknown channel connection ''\n", 1),
        ("name=a", NO_KIND, 1),
        ("connection=socket,name=a", b"channel connection 'socket' requires path=..\n", 1),
        ("colour=red,name=a", b"unknown channel parameter 'colour', ignoring\n" + NO_KIND, 1),
        ("type=FOO,name=a", b"unknown channel parameter 'type', ignoring\n" + NO_KIND, 1),
        ("connection=path,name=a", b"unknown channel connection 'path'\n", 1),
        ("kind=path,name=a", b"unknown channel parameter 'kind', ignoring\n" + NO_KIND, 1),
    ],
)
def test_errors(item, words, status):
    _, report = read(item)
    assert (report.xl_words, report.xl_status) == (words, status)
    assert report.failed


@pytest.mark.parametrize("key", ["type", "kind"])
@pytest.mark.parametrize(
    ("word", "more", "member"),
    [
        ("NONE", "", DeviceChannelNone()),
        ("Pty", "", DeviceChannelPty()),
        ("PATH", ",path=/x", DeviceChannelPath(path="/x")),
        ("SOCKET", ",path=/x", DeviceChannelSocket(path="/x")),
    ],
)
def test_kinds_of_the_first_patches(key, word, more, member):
    (channel,), report = read(f"{key}={word},name=a{more}", version=NEW)
    assert channel == DeviceChannel(name="a", connection=member)
    assert report.xl_words == b"unknown channel parameter '%s', ignoring\n" % key.encode() + NO_KIND
    assert (report.xl_status, report.failed) == (1, False)
    assert messages(report) == [f"xl refuses a channel with {key}= and without connection="]


@pytest.mark.parametrize(
    ("item", "member"),
    [
        ("connection=none,name=a", DeviceChannelNone()),
        ("connection=path,name=a,path=/x", DeviceChannelPath(path="/x")),
    ],
)
def test_connections_that_only_xenwire_has(item, member):
    (channel,), report = read(item, version=NEW)
    assert channel == DeviceChannel(name="a", connection=member)
    word = item.partition(",")[0].partition("=")[2]
    assert report.xl_words == f"unknown channel connection '{word}'\n".encode()
    assert (report.xl_status, report.failed) == (1, False)
    assert said(report) == [(22, "warning", f"xl refuses connection={word}: only Xenwire has it")]


def test_connection_goes_before_type():
    channels, report = read("type=NONE,connection=pty,kind=SOCKET,name=a", version=NEW)
    assert channels[0].connection == DeviceChannelPty()
    assert report.xl_words == (
        b"unknown channel parameter 'type', ignoring\nunknown channel parameter 'kind', ignoring\n"
    )
    assert messages(report) == [
        "type is ignored: connection says the kind",
        "kind is ignored: connection says the kind",
    ]


@pytest.mark.parametrize(
    ("version", "numbered"),
    [
        ((4, 17, 7), True),
        ((4, 18, 4), True),
        ((4, 18, 5), False),
        ((4, 19, 1), True),
        ((4, 19, 2), False),
        ((4, 20, 0), True),
        ((4, 20, 1), False),
        ((4, 21, 0), False),
        ((4, 22, 0), False),
    ],
)
def test_numbers_of_releases(version, numbered):
    channels, report = read("connection=pty,name=a", "connection=pty,name=b", version=XenVersion(*version))
    assert [channel.devid for channel in channels] == ([0, 1] if numbered else [-1, -1])
    lost = [message for message in messages(report) if "loses the first channel" in message]
    assert len(lost) == numbered


def test_split_of_releases():
    item = "connection=socket,name=a,path=/a==b ,=x=y"
    old, report = read(item)
    assert old[0].connection == DeviceChannelSocket(path="/a")
    assert (43, "warning", "xl before 4.18 cuts this at every =: path is /a") in said(report)
    assert report.xl_words == b"unknown channel parameter 'x', ignoring\n"
    new, report = read(item, version=NEW)
    assert new[0].connection == DeviceChannelSocket(path="/a==b")
    assert messages(report) == ["unknown channel parameter without a name, ignored"]


def test_places_of_warnings():
    _, report = read("connection=pty,path=/x,name=a", "connection=pty,nmae=b", "connection=pty,name=a b")
    assert said(report)[1:] == [
        (26, "warning", "a channel of kind pty takes no path; it is ignored"),
        (44, "warning", "channel 1 has no name: the domain cannot be created"),
        (59, "warning", "unknown channel parameter nmae, ignored"),
        (89, "warning", "not a channel name: a b"),
    ]
    assert report.diagnostics()[3].hint == "did you mean name?"


def test_names_are_told_apart():
    _, report = read("connection=pty,name=a", "connection=pty,name=b", "connection=pty,name=a", version=NEW)
    assert messages(report) == ["another channel has the name a: guests find only one of them"]


def test_capitals_are_an_error_with_a_hint():
    _, report = read("connection=PTY,name=a", version=NEW)
    (found,) = report.diagnostics()
    assert (found.message, found.hint) == (
        "unknown channel connection PTY",
        "write pty: xl refuses capitals here",
    )


def test_errors_of_several_items():
    _, report = read("name=a", "connection=socket,name=b", "console", version=NEW)
    assert said(report) == [
        (11, "error", "a channel without a connection"),
        (21, "error", "a channel of kind socket without a path"),
        (49, "error", "not a key=value: console"),
    ]


WORDS = st.text("ab/. ", min_size=1, max_size=6).filter(str.strip)


@settings(max_examples=100)
@given(WORDS, WORDS, st.none() | WORDS, st.sampled_from(["pty", "socket"]), st.data())
def test_parameters_in_any_order_with_blanks(name, path, backend, kind, data):
    given_ = {"name": name, "path": path, "connection": kind} | ({"backend": backend} if backend else {})
    keys = data.draw(st.permutations(sorted(given_)))
    blanks = data.draw(st.sampled_from(["", " ", "\t "]))
    item = ",".join(f"{blanks}{key}{blanks}={blanks}{given_[key]}{blanks}" for key in keys)
    (channel,), report = read(item)
    assert not report.failed
    assert channel == DeviceChannel(
        devid=0,
        name=name.strip(),
        backend_domname=backend.strip() if backend else None,
        connection=DeviceChannelSocket(path=path.strip()) if kind == "socket" else DeviceChannelPty(),
    )
