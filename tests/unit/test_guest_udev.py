"""The guest's udev rule, as the real udev takes it: in a mount namespace, and for tty3 in place of an hvc."""

import json
import shutil
import subprocess
import sys

import pytest

from xenwire import guestfiles

RULE = "60-xenwire-channels.rules"
CONSOLE = {
    'KERNEL=="hvc[1-7]"': 'KERNEL=="tty[1-7]"',
    "/sys/bus/xen/devices/console-%n/driver": "/run/driver-%n",
    "/usr/bin/xenstore-read device/console/%n/name": "/bin/cat /run/name",
}
PORT = {
    'SUBSYSTEM=="virtio-ports", KERNEL=="vport*"': 'SUBSYSTEM=="tty", KERNEL=="tty3"',
    "ATTR{name}": "ATTR{power/control}",
    "$attr{name}": "$attr{power/control}",
}
"""What there is here instead of what is in a guest."""

WORLD = """
import json, os, pathlib, shutil, subprocess, sys

def mount(*folders):
    for folder in folders:
        if os.path.isdir(folder):
            subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)

def event(action):
    command = ["udevadm", "test", f"--action={action}", "/sys/class/tty/tty3"]
    told = subprocess.run(command, check=True, capture_output=True).stdout.decode(errors="replace")
    links = sorted(map(str, dev.rglob("*")) if dev.exists() else [])
    wants = [line[len("SYSTEMD_WANTS="):] for line in told.splitlines() if line.startswith("SYSTEMD_WANTS=")]
    return {"links": links, "wants": wants}

mount("/run", "/dev", "/usr/lib/udev/rules.d", "/etc/udev/rules.d")
os.makedirs("/run/udev/rules.d")
os.mknod("/dev/null", 0o20666, os.makedev(1, 3))
os.mknod("/dev/tty3", 0o20600, os.makedev(4, 3))
pathlib.Path("/run/udev/rules.d/60.rules").write_text(sys.stdin.read())
dev, name, driver = map(pathlib.Path, ["/dev/xen-channel", "/run/name", "/run/driver-3"])
name.touch()
subprocess.run(["mount", "--bind", name, "/sys/class/tty/tty3/power/control"], check=True)
told = []
for each in sys.argv[2:]:
    name.write_bytes(os.fsencode(each) + b"\\n")
    told.append([])
    for action in sys.argv[1].split():
        if action == "unbind":
            driver.unlink()
            action = "change"
        else:
            driver.touch()
        told[-1].append(event(action))
print(json.dumps(told))
"""


def udev(stand_ins, actions, names):
    """For each name, give what there is after each of the events."""
    rules = guestfiles.read(RULE).decode()
    for real, stand_in in stand_ins.items():
        assert real in rules
        rules = rules.replace(real, stand_in)
    command = ["unshare", "--mount", sys.executable, "-c", WORLD, actions, *names]
    ended = subprocess.run(command, input=rules.encode(), capture_output=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def can_mount():
    missing = [name for name in ("udevadm", "unshare", "systemd-escape") if shutil.which(name) is None]
    return (
        not missing
        and not subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode
    )


pytestmark = pytest.mark.skipif(not can_mount(), reason="no udev, or no rights to try it in a namespace")

NOTHING = {"links": [], "wants": []}


NAMES = {
    "org.example.a-b.0": r"xenwire-channel@org.example.a\x2db.0.service",
    "a": "xenwire-channel@a.service",
    "...": r"xenwire-channel@\x2e...service",
    "A_1": "xenwire-channel@A_1.service",
    "-rf": r"xenwire-channel@\x2drf.service",
    "--help": r"xenwire-channel@\x2d\x2dhelp.service",
    "x" * 127: f"xenwire-channel@{'x' * 127}.service",
}


def test_a_console_has_a_link_as_long_as_it_is_bound():
    actions = "add unbind change remove"
    for (name, unit), told in zip(NAMES.items(), udev(CONSOLE, actions, NAMES), strict=True):
        there = {"links": [f"/dev/xen-channel/{name}"], "wants": [unit]}
        assert told[:3] == [there, NOTHING, there], name
        assert told[3]["links"] == []


def test_a_port_has_a_link_as_long_as_it_is_there():
    for (name, unit), told in zip(NAMES.items(), udev(PORT, "add remove", NAMES), strict=True):
        assert told[0] == {"links": [f"/dev/xen-channel/{name}"], "wants": [unit]}, name
        assert told[1]["links"] == []


@pytest.mark.parametrize("stand_ins", [CONSOLE, PORT], ids=["console", "port"])
def test_hostile_names_lead_nowhere(stand_ins):
    names = [
        "",
        ".",
        "..",
        "../../etc/cron.d/a",
        "/etc/passwd",
        "a/b",
        "a b",
        "a\tb",
        "a\nb",
        "a\\x2fb",
        "$(reboot)",
        "`reboot`",
        "a;b",
        "%k",
        "$kernel",
        "$env{PATH}",
        "*",
        "a|b",
        "a,b",
        "a=b",
        '"',
        "ä",
        "\udcff",
        "\x1b[2J",
        "/" * 2000,
    ]
    for name, told in zip(names, udev(stand_ins, "add", names), strict=True):
        assert told == [NOTHING], name
