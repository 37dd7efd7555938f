import os

import pytest

from xenwire.devicemodel.confinement import confinement
from xenwire.errors import XenwireError
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
    monkeypatch.setattr("xenwire.devicemodel.confinement.holds", lambda _: True)
    monkeypatch.setattr("xenwire.devicemodel.confinement.is_root_everywhere", lambda: True)


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("root", "umask")
def test_root_becomes_a_user_of_the_domains_own_in_a_folder_without_files():
    folder = run_dir() / "qemu-root"
    sandbox = ["-sandbox", "on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny"]
    ids = "1879048197:1879048197"
    older, newer = (confinement(able, 5, (), drop=True) for able in (ABLE, NEWER))
    assert older == [*sandbox, "-chroot", str(folder), "-runas", ids]
    assert newer == [*sandbox, "-run-with", f"chroot={folder}", "-run-with", f"user={ids}"]
    assert {path.name for path in folder.rglob("*")} <= {"etc", "resolv.conf"}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / "etc")} == {0o755}


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-run-with", "async-teardown=on"), "-run-with"),
        (("-sandbox", "on,elevateprivileges=deny"), "-sandbox"),
        (("-fsdev", "local,id=p9-0,path=/srv,security_model=none"), "-fsdev"),
        (("-netdev", "tap,id=nic0"), "-netdev"),
        (("-device", "vfio-pci,host=03:00.0"), "-device"),
        (("-device", '{"driver": "usb-host", "vendorid": 1}'), "-device"),
        (("-overcommit", "mem-lock=on"), "-overcommit"),
    ],
)
def test_what_needs_roots_rights_later_keeps_them(arguments, why, caplog):
    assert not {"-runas", "-chroot"}.intersection(confinement(ABLE, 5, arguments, drop=True))
    assert f"root's rights are not taken from QEMU: {why} may need them" in caplog.text


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("name", "value"), [("holds", lambda _: False), ("is_root_everywhere", lambda: False)]
)
def test_in_a_container_that_forbids_it_it_stays(monkeypatch, caplog, name, value):
    monkeypatch.setattr(f"xenwire.devicemodel.confinement.{name}", value)
    assert "-runas" not in confinement(ABLE, 5, (), drop=True)
    assert "this container" in caplog.text


def test_whoever_is_not_root_stays_who_he_is(monkeypatch, caplog):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "-runas" not in confinement(ABLE, 5, (), drop=True)
    assert caplog.text == ""


@pytest.mark.usefixtures("root")
def test_a_folder_that_cannot_be_made_is_told():
    (run_dir() / "qemu-root").write_text("")
    with pytest.raises(XenwireError, match="cannot make the folder"):
        confinement(ABLE, 5, (), drop=True)
