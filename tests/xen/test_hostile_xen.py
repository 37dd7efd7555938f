"""A real guest whose frontend does not keep to the protocol: its channel alone suffers, and begins anew.

What it does stands in `hostile_frontend`. Another channel of the same guest is an honest one, and is served
all the time, by a backend that is never started again.
"""

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.xen.driver_domain import DriverDomain

pytestmark = [pytest.mark.xen, pytest.mark.timeout(900)]

FOLDER = "/tmp/hostile"
PROGRAM = Path(__file__).with_name("hostile_frontend.py")
HOSTILE, HONEST, FORGED = 1, 2, 3

SERVE = f"""\
set -e
xenwire -v serve >/root/hostile-serve.log 2>&1 & echo $! >{FOLDER}/pid
xenwire channel attach $1 org.example.hostile --socket {FOLDER}/1
xenwire channel attach $1 org.example.honest --socket {FOLDER}/2
xenwire channel attach $1 org.example.forged --pty
"""

BEGIN = """\
cd /tmp
if [ -e {devid}.pid ]; then
    pid=$(cat {devid}.pid)
    kill $pid || ! cat {devid}.log || exit
    while [ -e /proc/$pid/exe ]; do sleep 0.1; done
fi
python3 /{program} {devid} {words} >{devid}.log 2>&1 & echo $! >{devid}.pid
until grep -q begun {devid}.log; do
    kill -0 $! || ! cat {devid}.log || exit
    sleep 0.1
done
"""
"""Have the frontend of a channel do something, in the place of what it has done up to now."""

RATE = """\
import json, os, socket, sys, time
path, pid, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
def spent():
    with open(f"/proc/{pid}/stat") as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
client = socket.socket(socket.AF_UNIX)
client.connect(path)
client.settimeout(30)
trips, worst, before, began = 0, 0, spent(), time.monotonic()
now = began
while not trips or now < began + seconds:
    line, got = b"%063d\\n" % time.monotonic_ns(), b""
    client.sendall(line)
    while line not in got:
        piece = client.recv(65536)
        assert piece
        got = got[-64:] + piece
    trips += 1
    worst, now = max(worst, time.monotonic() - now), time.monotonic()
took = time.monotonic() - began
print(json.dumps({"trips": trips / took, "worst": worst, "cpu": (spent() - before) / took}))
"""
"""Send lines that are to come back. Give how many did in a second, the longest wait, and a process's CPU."""

FLOOD = """\
import socket, sys, time
end = time.monotonic() + float(sys.argv[2])
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.settimeout(0.2)
while time.monotonic() < end:
    try:
        client.send(bytes(4096))
    except TimeoutError:
        pass
"""
"""Send for so many seconds."""


@pytest.fixture(scope="module")
def guest(lab):
    """A guest with an honest echo beside the channel that is attacked, and the backend of both."""
    guest = DriverDomain(lab, "hostile", FOLDER, [PROGRAM])
    guest.make()
    # Linux's own driver would take the channels.
    guest.inside("echo 0 >/sys/bus/xen/drivers_autoprobe", timeout=300)
    guest.shell(SERVE, timeout=120)
    guest.backend = guest.shell(f"cat {FOLDER}/pid").strip()
    guest.domid = guest.shell("xl domid $1").strip()
    begin(guest, HONEST, "honest")
    yield guest
    guest.shell(f"kill {guest.backend}; xl destroy $1 2>/dev/null; rm -r {FOLDER}")


def begin(guest, devid, *words):
    quoted = " ".join(f"'{word}'" for word in words)
    guest.inside(BEGIN.format(devid=devid, words=quoted, program=PROGRAM.name), timeout=120)


@contextmanager
def attacked(guest, *words):
    """Have the guest misbehave, and give what is told of its channel then; afterwards it is served again."""
    begin(guest, HOSTILE, *words)
    yield listed(guest, HOSTILE)
    begin(guest, HOSTILE, "honest")
    measured(guest, HOSTILE, 0.1)


def measured(guest, devid=HONEST, seconds=3):
    """Give what round trips of a channel come to: see `RATE`."""
    argv = ("python3", "-S", "-c", RATE, f"{FOLDER}/{devid}", guest.backend, str(seconds))
    told = json.loads(guest.run(*argv))
    assert told["worst"] < 10
    return told


def listed(guest, devid):
    told = json.loads(guest.shell("xenwire channel list $1 -o json 2>/dev/null"))
    return next(channel for channel in told if channel["devid"] == devid)


def compare(guest, *words):
    """Measure the honest channel before and during an attack, and say what that is."""
    told = {"before": measured(guest)}
    with attacked(guest, *words):
        told["during"] = measured(guest)
    for when, each in told.items():
        sys.stdout.write(
            f"{words[0]}: {when}, {each['trips']:.0f} round trips a second, at worst {each['worst']:.3f} s; "
            f"the backend takes {each['cpu']:.0%} of a processor\n"
        )


@pytest.mark.parametrize("words", ["index 771 2049", "index 768 1", "index_before"])
def test_an_index_that_cannot_be(guest, words):
    with attacked(guest, *words.split()) as channel:
        assert channel["state"] == "closing"
        assert "bytes fit" in channel["error"]
        measured(guest, seconds=0.5)
    assert listed(guest, HOSTILE)["error"] is None


@pytest.mark.parametrize("how", ["running_indexes", "impossible_indexes"])
def test_indexes_that_change_while_they_are_read(guest, how):
    compare(guest, how)


def test_a_ring_that_breaks_while_bytes_come(guest):
    with attacked(guest, "room_that_goes"):
        guest.run("python3", "-S", "-c", FLOOD, f"{FOLDER}/{HOSTILE}", "5")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("ring-ref", "9999", "cannot map the grant 9999"),
        ("ring-ref", "-", "cannot map the grant"),
        ("port", "3999", "cannot join event channel 3999"),
    ],
    ids=["a page that is not granted", "a page that may only be read", "a port that is not offered"],
)
def test_an_offer_of_nothing(guest, key, value, reason):
    with attacked(guest, "offer", key, value) as channel:
        assert channel["state"] == "closing"
        assert reason in channel["error"]


def test_offers_without_sense(guest):
    with attacked(guest, "senseless_offers") as channel:
        assert channel["error"] == "the guest offers nothing that can be"


def test_odd_bytes(guest):
    with attacked(guest, "odd_bytes"):
        measured(guest, seconds=0.5)


def test_a_storm_of_events(guest):
    compare(guest, "storm")


def test_one_that_writes_without_end(guest):
    """Nobody takes it: the oldest bytes go."""
    compare(guest, "flood")
    assert listed(guest, HOSTILE)["dropped"] > 0


def test_states_that_flip_for_ever(guest):
    compare(guest, "flips")


def test_a_directory_that_is_removed(guest):
    begin(guest, FORGED, "forge")
    channel = listed(guest, FORGED)
    assert (channel["state"], channel["place"], channel["error"]) == ("closed", None, None)
    guest.shell(f"! xenstore-exists /local/domain/{guest.domid}/device/console/{FORGED}")


def test_it_is_detached_and_leaves_nothing(guest):
    """One that does not let go has ten seconds."""
    begin(guest, HOSTILE, "storm")
    detaches = [f"xenwire channel detach $1 org.example.{name} &" for name in ("hostile", "honest", "forged")]
    guest.shell("\n".join((*detaches, "wait")), timeout=60)
    guest.shell(f"! grep gntdev /proc/{guest.backend}/maps")
    guest.shell(f"! ls /run/xenwire/spool/* {FOLDER}/[0-9] 2>/dev/null")
    assert guest.shell(f"xenstore-list /local/domain/0/backend/console/{guest.domid}") == "0\n"


def test_the_backend_is_the_same(guest):
    guest.shell(f"kill -0 {guest.backend}")
    guest.shell("! grep Traceback /root/hostile-serve.log")
