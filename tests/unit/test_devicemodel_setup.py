import pytest

from xenwire.devicemodel.setup import _sandbox
from xenwire.qemu.capabilities import Capabilities
from xenwire.qemu.qmp.session import Version

ABLE = Capabilities(Version(7, 2, 0, ""), frozenset(), frozenset(), frozenset({"sandbox"}))
UNABLE = Capabilities(Version(7, 2, 0, ""), frozenset(), frozenset(), frozenset())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-netdev", "user,id=nic0"),
        ("-fw_cfg", "bridge,file=/tap"),
        ("-netdev", "user,id=tap0,tftp=/srv/bridge"),
        ("-nic", "{"),
    ],
)
def test_qemu_is_confined(arguments):
    option, value = _sandbox(ABLE, arguments)
    assert option == "-sandbox"
    assert value.startswith("on,")
    assert "spawn=deny" in value


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-netdev", "bridge,id=nic0,br=br0"), "-netdev may need it"),
        (("-netdev", '{"type": "bridge", "id": "n"}'), "-netdev may need it"),
        (("-m", "1", "-nic", "tap,ifname=t0"), "-nic may need it"),
        (("--netdev", "id=n,type=tap"), "-netdev may need it"),
        (("-runas", "nobody"), "-runas may need it"),
        (("-m", "1", "-daemonize"), "-daemonize may need it"),
    ],
)
def test_what_confinement_would_break_does_without(arguments, why, caplog):
    assert _sandbox(ABLE, arguments) == []
    assert why in caplog.text


def test_a_sandbox_that_is_asked_for_takes_its_place(caplog):
    assert _sandbox(ABLE, ("-sandbox", "off")) == []
    assert caplog.text == ""


def test_a_qemu_that_has_none(caplog):
    assert _sandbox(UNABLE, ()) == []
    assert "built without -sandbox" in caplog.text
