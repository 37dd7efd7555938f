"""The meaning of keys, and what is told about them."""

import dataclasses
import json
import uuid

import pytest

from xenwire.config import ChannelConfig, ConfigError, DomainConfig, Severity, parse_config
from xenwire.config.xlcfg import MAX_SIZE
from xenwire.errors import UsageError
from xenwire.types import ChannelKind, ChannelName


def config(text, name='name = "guest"\n'):
    return parse_config(name.encode() + text.encode(), "guest.cfg").config


def errors(text, name='name = "guest"\n'):
    """Give `line:column message` for each error."""
    with pytest.raises(ConfigError) as caught:
        parse_config(name.encode() + text.encode(), "guest.cfg")
    return [
        f"{found.line}:{found.column} {found.message}"
        for found in caught.value.diagnostics
        if found.severity is Severity.ERROR
    ]


def warnings(text):
    parsed = parse_config(b'name = "guest"\n' + text.encode(), "guest.cfg")
    return [(f"{found.line}:{found.column} {found.message}", found.hint) for found in parsed.warnings]


def test_every_key():
    text = """
    uuid = "01234567-89AB-cdef-0123-456789abcdef"; memory = 0x200
    vcpus = "2"
    kernel = "boot/vmlinuz"
    ramdisk = '/boot/initrd'
    root = "/dev/vda1"; extra = "ro"
    extra += " quiet"
    serial = [ "pty", "file:/tmp/log" ]
    channel = [ "connection=pty,name=org.example.0" ]
    """
    assert config(text) == DomainConfig(
        name="guest",
        uuid=uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"),
        memory=512,
        vcpus=2,
        kernel="boot/vmlinuz",
        ramdisk="/boot/initrd",
        cmdline="root=/dev/vda1 ro quiet",
        serial=("pty", "file:/tmp/log"),
        channels=(ChannelConfig(ChannelName("org.example.0"), ChannelKind.PTY),),
    )


def test_defaults_are_libxls():
    assert config("") == DomainConfig(name="guest", memory=32, vcpus=1)


@pytest.mark.parametrize(
    ("text", "cmdline"),
    [
        ('root="/dev/vda"', "root=/dev/vda"),
        ('extra="quiet"', "quiet"),
        ('cmdline="a=b"', "a=b"),
        ('cmdline="a=b"\nextra="quiet"', "a=b"),
    ],
)
def test_command_line(text, cmdline):
    assert config(text).cmdline == cmdline


def test_cmdline_wins_with_a_warning():
    assert warnings('cmdline="x"\nroot="y"\nextra="z"') == [
        ("3:6 root is ignored in favour of cmdline", None),
        ("4:7 extra is ignored in favour of cmdline", None),
    ]


def test_one_serial_port():
    assert config('serial = "pty"').serial == ("pty",)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ('" 7"', 7),
        ('"+3"', 3),
        ("010", 8),
        ("0x1F".lower(), 31),
        ('"0X1F"', 31),
        ('"0x' + "0" * 5000 + '1"', 1),
    ],
)
def test_numbers_as_strtol_reads_them(written, number):
    assert config(f"vcpus = {written}").vcpus == number


@pytest.mark.parametrize(
    "written", ['"08"', "08", "0b1", "1e3", "0x", "12abc", '""', '"1 "', '"True"', '"1_0"', '"-"']
)
def test_no_numbers(written):
    value = written.strip('"')
    assert errors(f"memory = {written}") == [f'2:10 memory is not a number: "{value}"']


@pytest.mark.parametrize("written", ["0", '"-50"', "9" * 19, "0x" + "f" * 5000])
def test_numbers_out_of_range(written):
    [error] = errors(f"memory = {written}")
    assert error.startswith("2:10 memory is out of range: ")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('memory = [ "512" ]', "2:10 memory is a list, but should be a single value"),
        ("memory += 512", "2:11 memory is a number, which += cannot append to"),
        ("kernel = []", "2:10 kernel is a list, but should be a single value"),
        ('channel = "x"', "2:11 channel is a single value, but should be a list"),
        ("channel = [ [] ]", "2:13 channel has a list as an item, but wants text"),
        ("serial = [ 'pty', [] ]", "2:19 serial has a list as an item, but wants text"),
        ('uuid = "123"', "2:8 not a UUID"),
    ],
)
def test_wrong_types(text, error):
    assert errors(text) == [error]


def test_a_name_is_needed():
    assert errors("", name="") == ["None:None the domain has no name"]
    assert errors('name = ""', name="") == ["1:8 the domain has no name"]
    assert errors("name = [ 1 ]", name="") == ["1:8 name is a list, but should be a single value"]


def test_unknown_keys_get_a_suggestion():
    assert warnings('memroy = 512\nzzz = 1\nVif2x = "a"'.lower()) == [
        ("2:1 unknown key memroy", "did you mean memory?"),
        ("3:1 unknown key zzz", "xl ignores it, too"),
        ("4:1 unknown key vif2x", "did you mean vif2?"),
    ]


def test_keys_without_effect():
    assert warnings('vif = [ "bridge=xenbr0" ]\nbuilder = "hvm"') == [
        ("2:1 vif is known to xl, but not used by this host", None),
        ("3:1 builder is deprecated", 'write type = "hvm" or type = "pv" instead'),
    ]


def test_bytes_that_are_no_utf8_survive():
    parsed = parse_config(b'name = "g\xc3\xbcst"\nkernel = "/\xff"\n', "x")
    assert parsed.config.name == "güst"
    assert parsed.config.kernel.encode("utf-8", "surrogateescape") == b"/\xff"


def test_too_large():
    with pytest.raises(ConfigError, match="the file is too large: 1048577 bytes"):
        parse_config(b"#" * (MAX_SIZE + 1), "x.cfg")


def test_error_text_has_every_diagnostic_with_a_caret():
    with pytest.raises(ConfigError) as caught:
        parse_config(b'name = "a\nmemory\t= [ 1 2 ]\nmemroy = 1\n', "dir/x.cfg")
    error = caught.value
    assert error.exit_status == 2
    assert str(error) == (
        "dir/x.cfg:1:8: error: this string is not closed\n"
        '    name = "a\n'
        "           ^\n"
        '    a string ends on its line, with the " it began with\n'
        "dir/x.cfg:2:14: error: expected , or ], found the number 2\n"
        "    memory = [ 1 2 ]\n"
        "                 ^\n"
        "    put a comma between two items\n"
        "dir/x.cfg:3:1: warning: unknown key memroy\n"
        "    memroy = 1\n"
        "    ^\n"
        "    did you mean memory?"
    )
    assert json.dumps(error.context)


def test_long_lines_are_cut_around_the_caret():
    text = "é" * 300
    [found] = parse_config(f'name = "{text}"; memroy = "{text}"\n'.encode(), "x").warnings
    assert (found.line, found.column) == (1, 312)
    assert found.excerpt[found.caret :].startswith("memroy")
    assert len(found.excerpt) == 102


def test_excerpts_cannot_harm_a_terminal():
    [found] = parse_config('name = "a"; memroy = "\x1b[2J\u202e\x9b"\n'.encode(), "x").warnings
    assert found.excerpt == 'name = "a"; memroy = "\ufffd[2J\ufffd\ufffd"'


@pytest.mark.parametrize(
    "text", ["channel = [ '{},name=a' ]", "channel = [ 'type={},name={}' ]", "memory = '{}'"]
)
def test_messages_cannot_either_and_are_short(text):
    with pytest.raises(ConfigError) as caught:
        parse_config(f"name = 'a'; {text}\n".replace("{}", "\x1b\x9b" * 5000).encode(), "x")
    for found in caught.value.diagnostics:
        assert found.message.isprintable()
        assert len(str(found)) < 500


def test_many_diagnostics_are_counted():
    parsed = parse_config(b'name = "a"\n' + b"".join(b"kk%d = 1\n" % n for n in range(5000)), "x")
    assert len(parsed.warnings) == 21
    assert str(parsed.warnings[-1]) == "x: warning: 4980 more of this kind"


# Channels


def channel(item):
    [found] = config(f"channel = [ '{item}' ]").channels
    return found


@pytest.mark.parametrize(
    ("item", "kind", "path"),
    [
        ("connection=none,name=a", ChannelKind.NONE, None),
        ("connection=pty,name=a", ChannelKind.PTY, None),
        ("connection=path,path=/log,name=a", ChannelKind.PATH, "/log"),
        ("connection=socket,path=/run/ch log.sock,name=a", ChannelKind.SOCKET, "/run/ch log.sock"),
        ("type=SOCKET,path=/s,name=a", ChannelKind.SOCKET, "/s"),
        ("kind=None,name=a", ChannelKind.NONE, None),
        (" name = a ,, connection = pty\t,", ChannelKind.PTY, None),
        ("\\tname=a\\t,connection\\v=\\vpty", ChannelKind.PTY, None),
        ("name=b,connection=pty,name=a", ChannelKind.PTY, None),
        ("name=a,kind=socket,connection=pty", ChannelKind.PTY, None),
        ("name=a,connection=pty,path=/x", ChannelKind.PTY, None),
        ("name=a,connection=path,path=/a=b", ChannelKind.PATH, "/a=b"),
    ],
)
def test_channels(item, kind, path):
    assert channel(item) == ChannelConfig(ChannelName("a"), kind, path)


def test_channel_backend():
    assert channel("backend=driver,connection=pty,name=a").backend == "driver"
    assert channel("connection=pty,name=a").devid is None


@pytest.mark.parametrize(
    ("items", "error"),
    [
        ("'connection=pty'", "2:13 a channel has no name"),
        ("'name=a'", "2:13 a channel without a connection"),
        ("'name=a,connection=tcp'", "2:32 unknown channel kind tcp"),
        ("'name=a, connection=PTY'", "2:33 unknown channel kind PTY"),
        ("'name=a,connection=socket'", "2:13 channel a has no path: kind socket needs one"),
        ("'name=a,connection=path'", "2:13 channel a has no path: kind path needs one"),
        ("'name=a,connection=pty, x'", "2:37 not a key=value: x"),
        ("'name=a,connection=pty,path='", "2:36 not a key=value: path="),
        ("'connection=pty,name=\\ta b'", "2:36 not a channel name: a b"),
        ("''", "2:13 an empty channel"),
        ("','", "2:13 an empty channel"),
        ("12", "2:13 not a key=value: 12"),
        ("'name=a,type=pty', \n'name=a,type=pty'", "3:1 a second channel has the name a"),
    ],
)
def test_channel_errors_point_into_the_string(items, error):
    [found] = errors(f"channel = [ {items} ]")
    assert found.startswith(error)


def test_channel_of_unknown_parameters_only():
    assert errors("channel = [ 'colour=red' ]") == [
        "2:13 a channel without a connection",
        "2:13 a channel has no name",
    ]


def test_channel_warnings():
    item = "name=a,connection=pty,kind=pty,nmae=b,colour=red,path=/x=y,connection=pty"
    assert warnings(f"channel = [ '{item}' ]") == [
        ("2:36 kind is ignored: connection says the kind", None),
        ("2:45 unknown channel parameter nmae, ignored", "did you mean name?"),
        (
            "2:52 unknown channel parameter colour, ignored",
            "keys are name, path, backend, connection, type, kind",
        ),
        ("2:63 a channel of kind pty takes no path; it is ignored", None),
        ("2:70 xl before 4.18 cuts the value off at this second =", None),
        ("2:73 connection is given again; the earlier one is ignored", None),
    ]


# Values are valid by construction


def test_channel_config_checks_its_path():
    with pytest.raises(UsageError, match="kind socket needs one"):
        ChannelConfig(ChannelName("a"), ChannelKind.SOCKET)
    with pytest.raises(UsageError, match="kind pty takes none"):
        ChannelConfig(ChannelName("a"), ChannelKind.PTY, path="/x")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"memory": 0},
        {"memory": 2**43},
        {"vcpus": 0},
        {"channels": (ChannelConfig(ChannelName("a"), ChannelKind.PTY),) * 2},
    ],
)
def test_domain_config_checks_its_fields(changes):
    with pytest.raises(UsageError):
        dataclasses.replace(DomainConfig(name="a"), **changes)
