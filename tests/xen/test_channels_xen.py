"""Channels that we serve, on real guests: from the start, hot attach, kills, reboot, save, detach, destroy.

(seed 002)
"""

import asyncio
import json
from contextlib import contextmanager

import pytest

from tests.xen.guest import Guest, on_an_emulated_processor
from xenwire.images import build_tiny_guest
from xenwire.lab.package import install

pytestmark = [pytest.mark.xen, pytest.mark.timeout(900)]

FOLDER = "/tmp/channels"
NAME = "org.xenwire.echo.hot"
CONFIG = """\
name = "chan-{kind}"
type = "{kind}"
memory = 256
kernel = "{folder}/{kernel}"
ramdisk = "{folder}/ramdisk"
extra = "{cmdline}"
tsc_mode = "native"
on_crash = "preserve"
channel = [ "connection=socket,name=org.xenwire.echo.cold,path={folder}/cold.sock" ]
"""

TALK = """\
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.settimeout(60)
data = sys.stdin.buffer.read()
client.sendall(data)
got = b""
while len(got) < len(data) and (piece := client.recv(65536)):
    got += piece
print(got == data, len(got))
"""
"""Send what is on stdin to a socket, and tell whether the same comes back."""

TALK_UNTIL_HEARD = """\
import socket, sys, time
data = sys.stdin.buffer.read()
for attempt in range(9):
    got = b""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(sys.argv[1])
            client.settimeout(15)
            client.sendall(data)
            while data not in got:
                piece = client.recv(65536)
                if not piece:
                    raise OSError("it is closed")
                got += piece
            print(True)
            break
    except OSError as error:
        print(error, len(got), file=sys.stderr)
        time.sleep(1)
"""
"""The same with a guest that was restored. What reaches its terminal before that is raw again is lost."""

KILLS = """\
log=$1 end=$2
for round in 1 2 3 4 5; do
    sleep 1.$round
    pkill -KILL -f "[x]enwire serve"
    setsid xenwire serve >>/root/serve.log 2>&1 &
    size=$(stat -c %s "$log")
    until [ "$(stat -c %s "$log")" != "$size" ] || [ "$(tail -n 1 "$log")" = "$end" ]; do sleep 0.1; done
done
until [ "$(tail -n 1 "$log")" = "$end" ]; do sleep 0.2; done
"""
"""Kill the backend five times, each once its predecessor's work goes on, and wait for the end of the log."""


def echoes(guest, path, data=bytes(range(256)) * 8, program=TALK, timeout=60):
    return "True" in guest.run("python3", "-S", "-c", program, path, stdin=data, timeout=timeout).decode()


@contextmanager
def running(lab, kind):
    """A guest that has begun to boot, with the first of its channels."""
    guest = Guest(lab, f"chan-{kind}")

    async def prepare():
        image = await build_tiny_guest(print)
        async with lab.session() as session:
            await install(session)
            await session.run(["rm", "-rf", FOLDER])
            await session.run(["mkdir", FOLDER])
            for path in (image.kernel, image.ramdisk):
                await session.put(path, FOLDER)
        return image

    image = asyncio.run(prepare())
    config = CONFIG.format(kind=kind, folder=FOLDER, kernel=image.kernel.name, cmdline=image.cmdline)
    try:
        guest.create(config, 300, ("xenwire", "create", "--backend", "xenwire", "--timeout", "200s"))
        yield guest
    finally:
        # Where the domain has just reset, xl's process that waits for its end is about to make it anew.
        guest.shell(
            "for i in $(seq 15); do xl destroy $1 2>/dev/null; pgrep -x xl >&2 || break; sleep 1; done\n"
            "pkill -f '[x]enwire serve'; true"
        )


@pytest.fixture(scope="module")
def guest(lab):
    with running(lab, "pv") as guest:
        guest.wait_for_boot()
        yield guest


def test_a_channel_that_was_there_first(guest):
    assert echoes(guest, f"{FOLDER}/cold.sock")


def test_a_channel_comes_to_a_running_guest(guest):
    guest.shell(f"xenwire channel attach $1 {NAME} --socket {FOLDER}/echo.sock")
    guest.shell(
        "front=/local/domain/$(xl domid $1)/device/console/2\n"
        'until [ "$(xenstore-read $front/state)" = 4 ]; do sleep 0.1; done'
    )
    assert echoes(guest, f"{FOLDER}/echo.sock")
    _, channel = json.loads(guest.shell("xenwire channel list $1 -o json"))
    assert (channel["name"], channel["devid"], channel["state"]) == (NAME, 2, "connected")


def test_a_second_one_that_is_a_terminal(guest):
    """xl joins it by its number."""
    guest.shell("xenwire channel attach $1 org.xenwire.echo.tty --pty")
    assert "/dev/pts/" in guest.shell("xenstore-read /local/domain/$(xl domid $1)/device/console/3/tty")
    # Without a terminal of its own it only shows what comes.
    guest.shell(
        "tty=$(xenstore-read /local/domain/$(xl domid $1)/device/console/3/tty)\n"
        "xl console -t pv -n 3 $1 </dev/null >/tmp/said &\n"
        "until grep -q 'by xl' /tmp/said; do echo by xl >$tty; sleep 0.5; done; kill $!"
    )


def test_xl_lists_them(guest):
    """Those that it knows, and the others do not disturb it."""
    guest.shell("xenwire channel attach $1 org.example.none --none")
    guest.shell(f"xenwire channel attach $1 org.example.log --log {FOLDER}/log")
    listed = guest.shell("xl channel-list $1").splitlines()[1:]
    assert [line.split()[5] for line in listed] == ["socket", "socket", "pty"]
    for name in ("none", "log"):
        guest.shell(f"xenwire channel detach $1 org.example.{name}")


def test_the_backend_is_killed_and_nobody_notices(guest):
    guest.shell("pkill -KILL -f '[x]enwire serve'")
    guest.shell("setsid xenwire serve >/root/serve.log 2>&1 &")
    guest.shell(
        f"until [ -S {FOLDER}/echo.sock ] && xenwire channel list $1 | grep -q connected; do sleep 0.3; done"
    )
    assert echoes(guest, f"{FOLDER}/echo.sock")
    assert guest.shell("xenstore-read /local/domain/$(xl domid $1)/device/console/2/state").strip() == "4"


def test_a_log_has_each_record_once_whenever_it_is_killed(guest):
    log, count = f"{FOLDER}/records.log", 6_000
    guest.shell(f"xenwire channel attach $1 org.example.records --log {log}")
    device = "/dev/xen-channel/org.example.records"
    # Held open: with its last descriptor a terminal loses its settings.
    guest.type(f"until [ -e {device} ]; do usleep 100000; done; exec 3<>{device}; stty raw <&3")
    guest.type("for i in $(seq 0 59); do seq $((i * 100 + 1)) $((i * 100 + 100)); usleep 100000; done >&3")
    guest.shell(f"until [ -s {log} ]; do sleep 0.1; done")
    guest.shell(f"cat >/root/kills; sh /root/kills {log} {count}", stdin=KILLS.encode(), timeout=200)
    guest.shell(f"seq {count} | cmp - {log}")
    guest.type("exec 3>&-")
    guest.shell("xenwire channel detach $1 org.example.records")


def test_it_reboots(guest):
    """xl makes it anew, and knows of none of its channels."""
    guest.shell(f"xenwire channel attach $1 org.xenwire.echo.again --persistent --socket {FOLDER}/again.sock")
    guest.shell("rm -f /var/log/xen/guest-$1.log; pkill -HUP xenconsoled")
    guest.type("reboot -f")
    guest.wait_for("xenwire guest: ready", timeout=300)
    for name in ("cold", "again"):
        assert echoes(guest, f"{FOLDER}/{name}.sock")
    assert [channel["name"] for channel in json.loads(guest.shell("xenwire channel list $1 -o json"))] == [
        "org.xenwire.echo.cold",
        "org.xenwire.echo.again",
    ]


def test_it_is_saved_and_restored(guest):
    guest.shell(f"xl save $1 {FOLDER}/saved >&2", timeout=200)
    guest.shell(f"xl restore {FOLDER}/saved >&2; rm {FOLDER}/saved", timeout=200)
    for name in ("cold", "again"):
        assert echoes(guest, f"{FOLDER}/{name}.sock", program=TALK_UNTIL_HEARD, timeout=200)


def test_one_is_taken_away(guest):
    guest.shell("xenwire channel detach $1 org.xenwire.echo.again", timeout=60)
    guest.shell(
        "xenstore-exists /tool/xenwire/channels/$(xl vm-list | grep -w $1 | cut -d ' ' -f 1)/2", status=1
    )
    guest.shell("xenstore-exists /local/domain/0/backend/console/$(xl domid $1)/2", status=1)
    assert echoes(guest, f"{FOLDER}/cold.sock")


def test_a_domain_that_is_destroyed_leaves_nothing(guest):
    guest.shell("id=$(xl domid $1); xl destroy $1; ! xl list | grep -w $1 && ! xl list | grep -w '(null)'")
    guest.shell(
        f"until ! [ -e {FOLDER}/echo.sock ] && ! ls /run/xenwire/spool/* 2>/dev/null; do sleep 0.2; done"
    )
    guest.shell("xenstore-exists /local/domain/0/backend/console", status=1)


@pytest.mark.timeout(2700)
def test_pvh(lab):
    """All that at a guest in a virtual machine."""
    checks = (
        Guest.wait_for_boot,
        test_a_channel_that_was_there_first,
        test_a_channel_comes_to_a_running_guest,
        test_a_second_one_that_is_a_terminal,
        test_xl_lists_them,
        test_the_backend_is_killed_and_nobody_notices,
        test_a_log_has_each_record_once_whenever_it_is_killed,
        test_it_reboots,
        test_it_is_saved_and_restored,
        test_one_is_taken_away,
        test_a_domain_that_is_destroyed_leaves_nothing,
    )
    on_an_emulated_processor(lab, lambda: running(lab, "pvh"), checks, attempts=5)
