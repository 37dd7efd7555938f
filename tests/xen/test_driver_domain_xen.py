"""Channels that a driver domain serves: on a real Xen, for a real guest, with nothing of dom0 in between."""

import json

import pytest

from tests.xen.driver_domain import DriverDomain, put_driven
from tests.xen.guest import ECHOED, Guest

pytestmark = [pytest.mark.xen, pytest.mark.timeout(1200)]

FOLDER = "/tmp/driver-domain"
SERVE = "xenwire -v serve >>/run/serve.log 2>&1 & echo $! >/run/serve.pid\n"

TALK = f"""\
cat >/tmp/talk.py <<end
{ECHOED}end
python3 -S /tmp/talk.py
"""

KILLS = """\
log=/run/records.log end=2000
for round in 1 2; do
    sleep 0.$round
    kill -KILL "$(cat /run/serve.pid)"
    {serve}
    size=$(stat -c %s $log)
    until [ "$(stat -c %s $log)" != "$size" ] || [ "$(tail -n 1 $log)" = $end ]; do sleep 1; done
done
until [ "$(tail -n 1 $log)" = $end ]; do sleep 1; done
seq $end | cmp - $log && echo each record once
""".replace("{serve}", SERVE)
"""Kill the backend twice, each time once its predecessor's work goes on, and compare what it has logged."""


@pytest.fixture(scope="module")
def driver(lab):
    """A driver domain that serves channels."""
    driver = DriverDomain(lab, "driver", FOLDER)
    driver.make()
    yield driver
    driver.shell(f"xl destroy $1 2>/dev/null; rm -r {FOLDER}")


@pytest.fixture(scope="module")
def config(lab, driver):
    """The configuration of a guest, whose files are in dom0."""
    return put_driven(lab, FOLDER)


@pytest.fixture(scope="module")
def guest(lab, driver, config):
    """A guest that has booted; the driver domain serves by then."""
    guest = Guest(lab, "driven")
    guest.create(config, 300)
    driver.inside(SERVE, timeout=300)
    guest.wait_for("xenwire guest: ready", timeout=300)
    yield guest
    guest.destroy()


@pytest.fixture(scope="module")
def frontend(guest):
    """The guest's directory of the channel, which is connected."""
    guest.shell(
        "xenwire channel attach $1 org.xenwire.echo.far --backend driver --socket /run/echo.sock", timeout=120
    )
    frontend = guest.shell("echo /local/domain/$(xl domid $1)/device/console/1").strip()
    guest.shell(f'until [ "$(xenstore-read {frontend}/state)" = 4 ]; do sleep 0.1; done')
    return frontend


def permissions(guest, path):
    """The permissions of each node below a path."""
    lines = guest.shell(f"xenstore-ls -fp {path}").splitlines()
    return {line.removeprefix(f"{path}/").partition(" ")[0]: line.rpartition("   ")[2] for line in lines}


def test_bytes_go_both_ways(driver, frontend):
    assert driver.inside(TALK) == "True 2048\n"


def test_each_domain_may_do_what_it_has_to(guest, driver, frontend):
    theirs, ours = (guest.shell(f"xl domid {each.name}").strip() for each in (guest, driver))
    assert guest.shell(f"xenstore-read {frontend}/backend-id").strip() == ours
    backend = guest.shell(f"xenstore-read {frontend}/backend").strip()
    assert backend == f"/local/domain/{ours}/backend/console/{theirs}/1"
    assert set(permissions(guest, backend).values()) == {f"(n{ours},r{theirs})"}
    found = permissions(guest, frontend)
    assert {key for key, value in found.items() if value == f"(n{theirs},r{ours})"} == {
        "backend", "backend-id", "port", "protocol", "ring-ref", "state"
    }  # fmt: skip
    assert {key for key, value in found.items() if value == f"(n{ours},r{theirs})"} == {
        "limit", "name", "tty", "type"
    }  # fmt: skip
    assert len(found) == 10


def test_dom0_says_where_it_is(guest, driver, frontend):
    (channel,) = json.loads(guest.shell("xenwire channel list $1 -o json 2>/dev/null"))
    assert channel["backend"] == int(guest.shell("xl domid driver"))
    assert (channel["state"], channel["place"], channel["from_guest"]) == (
        "connected",
        "/run/echo.sock",
        None,
    )
    said = guest.shell("xenwire console $1 org.xenwire.echo.far", status=7)
    assert "does not end in this domain" in said


def test_a_log_has_each_record_once_whenever_the_backend_is_killed(guest, driver, frontend):
    guest.shell("xenwire channel attach $1 org.example.records --backend driver --log /run/records.log")
    device = "/dev/xen-channel/org.example.records"
    guest.type(f"until [ -e {device} ]; do usleep 100000; done; exec 3<>{device}; stty raw <&3")
    guest.type("for i in $(seq 0 39); do seq $((i * 50 + 1)) $((i * 50 + 50)); usleep 200000; done >&3")
    driver.inside("until [ -s /run/records.log ]; do sleep 0.1; done", timeout=120)
    assert driver.inside(KILLS, timeout=400) == "each record once\n"
    guest.type("exec 3>&-")


def test_detached_it_leaves_nothing(guest, driver, frontend):
    backend = guest.shell(f"xenstore-read {frontend}/backend").strip()
    guest.shell("xenwire channel detach $1 org.example.records")
    for path in (frontend, backend):
        assert guest.shell(f"xenstore-list {path.removesuffix('/1')}") == "1\n"
    assert driver.inside(TALK) == "True 2048\n"


def test_a_guest_that_is_destroyed_leaves_nothing(guest, driver, frontend):
    guest.shell("xl destroy $1; ! xl list | grep -w '(null)'")
    driver.inside(
        "until ! [ -e /run/echo.sock ] && ! ls /run/xenwire/spool-xen/* 2>/dev/null; do sleep 0.2; done"
    )
    guest.shell("xenstore-exists /local/domain/$(xl domid driver)/backend", status=1)
    assert "WARNING" not in driver.inside("cat /run/serve.log")


def test_a_guest_is_released_when_its_driver_domain_ends(guest, driver, config):
    """Or else it would write until the ring is full, and never do anything again."""
    guest.create(config, 300)
    guest.wait_for("xenwire guest: ready", timeout=300)
    guest.shell(
        "xenwire channel attach $1 org.example.far --backend driver --log /run/far.log; "
        "xenwire channel attach $1 org.xenwire.echo.near --socket /tmp/near.sock",
        timeout=120,
    )
    device = "/dev/xen-channel/org.example.far"
    guest.type(
        f"until [ -e {device} ]; do usleep 100000; done; while echo a line; do usleep 5000; done >{device}"
    )
    driver.inside("until [ -s /run/far.log ]; do sleep 0.1; done", timeout=120)
    far = guest.shell("echo /local/domain/$(xl domid $1)/device/console/1").strip()
    guest.shell(f"xl destroy driver; while xenstore-exists {far}; do sleep 0.1; done")
    assert guest.answers()
    assert guest.talk("/tmp/near.sock", b"still there", count=11) == b"still there"
    guest.shell("xenwire channel attach $1 org.example.far --none")
    listed = guest.shell("xenwire channel list $1").splitlines()[1:]
    assert [line.split()[:2] for line in listed] == [["org.xenwire.echo.near", "2"], ["org.example.far", "3"]]
    guest.shell("xl destroy $1; pkill -f '[x]enwire serve'")
