import pytest

from xenwire.devicemodel.confinement import confinement
from xenwire.qemu.capabilities import Capabilities
from xenwire.qemu.qmp.session import Version
from xenwire.runtime.places import run_dir

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
    option, value = confinement(ABLE, 1, arguments, drop=False)
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
    assert confinement(ABLE, 1, arguments, drop=False) == []
    assert why in caplog.text


def test_a_sandbox_that_is_asked_for_takes_its_place(caplog):
    assert confinement(ABLE, 1, ("-sandbox", "off"), drop=False) == []
    assert caplog.text == ""


def test_a_qemu_that_has_none(caplog):
    assert confinement(UNABLE, 1, (), drop=False) == []
    assert "built without -sandbox" in caplog.text


OPTIONS = frozenset({"sandbox", "run-with.chroot", "run-with.user"})
NEWER = Capabilities(Version(10, 0, 0, ""), frozenset(), frozenset(), OPTIONS)


@pytest.fixture
def root(monkeypatch):
    """Be root, who may do everything, whoever runs this."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    for name in ("holds", "is_mapped"):
        monkeypatch.setattr(f"xenwire.devicemodel.confinement.{name}", lambda _: True)


@pytest.mark.usefixtures("root")
def test_root_becomes_a_user_of_the_domains_own_in_a_folder_without_files():
    folder = str(run_dir() / "qemu-root")
    sandbox = ["-sandbox", "on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny"]
    older, newer = (confinement(able, 5, (), drop=True) for able in (ABLE, NEWER))
    assert older == [*sandbox, "-chroot", folder, "-runas", "1879048197:1879048197"]
    assert newer == [*sandbox, "-run-with", f"chroot={folder}", "-run-with", "user=1879048197:1879048197"]
    assert {path.name for path in (run_dir() / "qemu-root").rglob("*")} <= {"etc", "resolv.conf"}


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    "arguments", [("-run-with", "async-teardown=on"), ("-sandbox", "on,elevateprivileges=deny")]
)
def test_what_says_itself_who_it_is_does_not(arguments):
    assert "-runas" not in confinement(ABLE, 5, arguments, drop=True)


@pytest.mark.usefixtures("root")
def test_in_a_container_with_few_users_it_becomes_nobody(monkeypatch):
    monkeypatch.setattr("xenwire.devicemodel.confinement.is_mapped", lambda number: number < 65536)
    assert confinement(ABLE, 5, (), drop=True)[-1] == "65534:65534"


@pytest.mark.usefixtures("root")
def test_in_a_container_that_forbids_it_it_stays(monkeypatch, caplog):
    monkeypatch.setattr("xenwire.devicemodel.confinement.holds", lambda _: False)
    assert "-runas" not in confinement(ABLE, 5, (), drop=True)
    assert "QEMU stays root" in caplog.text
