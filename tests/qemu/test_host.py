"""Domains of the plain QEMU host, through the command line and Debian's own store clients."""

import json
import os
import re
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.qemu

CHANNELS = (
    "connection=none,name=org.xenwire.none.0",
    "connection=pty,name=org.xenwire.echo.pty",
    "connection=path,name=org.xenwire.log.0,path={folder}/guest.log",
    "connection=socket,name=org.xenwire.echo.socket,path={folder}/echo.sock",
)


def all_kinds(host):
    return [channel.format(folder=host.folder) for channel in CHANNELS]


def test_a_domain_from_create_to_destroy(host):
    created = host.ok("create", host.config(channels=all_kinds(host)), "--paused", "--json")
    assert json.loads(created)["state"] == "paused"
    assert json.loads(created)["memory"] == 256 << 20
    assert host.domains()["guest"]["state"] == "paused"
    host.ok("unpause", "guest")
    assert host.domains()["guest"]["state"] == "running"
    host.ok("unpause", "guest")
    host.ok("pause", "1")
    assert host.domains()["guest"]["state"] == "paused"
    host.ok("pause", "gue")
    host.ok("destroy", "guest")
    host.assert_clean()
    assert host("destroy", "guest").returncode == 3


def test_its_nodes_look_like_real_xens(host):
    host.ok("create", host.config(channels=all_kinds(host)), "--paused")
    nodes = host.nodes()
    home, vm = "/local/domain/1", nodes["/local/domain/1/vm"]
    assert nodes[f"{home}/name"] == nodes[f"{vm}/name"] == "guest"
    assert nodes[f"{home}/domid"] == "1"
    assert vm == f"/vm/{host.domains()['guest']['uuid']}"
    assert nodes[f"{vm}/uuid"] == vm.removeprefix("/vm/")
    assert re.fullmatch(r"/dev/pts/\d+", nodes[f"{home}/console/tty"])
    assert nodes[f"{home}/serial/0/tty"] == nodes[f"{home}/console/tty"]
    assert nodes["/libxl/1/dm-version"] == "qemu_xen"

    qemu = "/local/domain/0/device-model/1"
    assert nodes[f"{qemu}/state"] == "running"
    assert {p.rpartition("/")[2] for p in nodes if p.startswith(f"{qemu}/backends/")} == {
        "console", "qdisk", "qnic", "vkbd", "vfb",
    }  # fmt: skip
    for devid, kind in enumerate(("none", "pty", "path", "socket"), 1):
        assert nodes[f"/local/domain/0/backend/console/1/{devid}/connection"] == kind
        assert nodes[f"{home}/device/console/{devid}/type"] == "xenwire"
    assert Path(nodes[f"{home}/device/console/2/tty"]).is_char_device()
    assert nodes["/local/domain/0/backend/console/1/4/path"] == f"{host.folder}/echo.sock"
    assert (host.folder / "echo.sock").stat().st_mode & 0o777 == 0o600

    permissions = host.xenstore("xenstore-ls", "-f", "-p", f"{home}/device/console").stdout
    assert re.search(r"/device/console/2 = .*\(n1,r0\)", permissions)
    assert re.search(r"/device/console/2/name = .*\(n0,r1\)", permissions)

    command = Path(f"/proc/{host.qemu()}/cmdline").read_bytes().decode().split("\0")
    chardevs = [word for word in command if ",id=libxl-channel" in word]
    assert [re.search(r"id=(libxl-channel\d)", word)[1] for word in chardevs] == [
        f"libxl-channel{devid}" for devid in (1, 2, 3, 4)
    ]


def test_the_list_in_every_format(host):
    host.ok("create", host.config("one", kernel=str(host.image.kernel)), "--paused")
    uuid = host.domains()["one"]["uuid"]
    assert host.ok("list").splitlines() == [
        "NAME  DOMID  STATE   MEMORY   VCPUS",
        "one   1      paused  256 MiB  1",
    ]
    assert uuid in host.ok("list", "-o", "wide")
    assert host.ok("list", "-o", "name") == "one\n"
    assert json.loads(host.ok("list", "-o", "jsonl"))["domid"] == 1
    assert host.ok("list", "-o", "yaml").startswith('- name: "one"\n  domid: 1\n')
    assert host.ok("list", "one", "-o", "name") == "one\n"
    assert json.loads(host.ok("channel", "list", "one", "--json")) == []
    assert json.loads(host.ok("dm", "status", "one", "--json"))["runstate"] == "prelaunch"
    assert len(host.ok("dm", "backends", "one", "-o", "name").split()) == 5


def test_a_dry_run_does_nothing(host):
    plan = host.ok("create", host.config(channels=all_kinds(host)), "--dry-run")
    assert "write /local/domain/1/name = 'guest' (n0,r1)" in plan
    assert "dm run 1" in plan
    host.assert_clean()


def test_daemons_start_once_however_many_ask(host):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: host("list"), range(8)))
    assert [r.returncode for r in results] == [0] * 8
    assert len(host.processes("store\0serve\0")) == 1


def test_the_store_is_stopped_when_nobody_needs_it(host):
    host.ok("store", "stop")
    host.ok("create", host.config(), "--paused")
    refused = host("store", "stop")
    assert refused.returncode == 6
    assert "it knows the domains guest" in refused.stderr
    host.ok("destroy", "guest")
    host.ok("store", "stop")
    assert host.processes() == []


def test_of_two_creates_of_one_name_one_wins(host):
    config = host.config()
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: host("create", config, "--paused"), range(2)))
    assert sorted(r.returncode for r in results) == [0, 6]
    loser = next(r for r in results if r.returncode)
    assert "has this name" in loser.stderr
    assert list(host.domains()) == ["guest"]


def test_two_domains_side_by_side(host):
    configs = [
        host.config(name, channels=[f"connection=socket,name=a,path={host.folder}/{name}.sock"])
        for name in "ab"
    ]
    with ThreadPoolExecutor(2) as pool:
        assert [r.returncode for r in pool.map(lambda c: host("create", c, "--paused"), configs)] == [0, 0]
    assert sorted(d["domid"] for d in host.domains().values()) == [1, 2]
    host.ok("destroy", "a")
    assert list(host.domains()) == ["b"]
    assert (host.folder / "b.sock").is_socket()


def test_wait(host):
    host.ok("create", host.config(), "--paused")
    waiting = host.start("wait", "guest", "--for", "state=running", "--json")
    host.ok("unpause", "guest")
    out, _ = waiting.communicate(timeout=20)
    assert json.loads(out)["state"] == "running"
    late = host("wait", "guest", "--for", "state=crashed", "--timeout", "200ms")
    assert late.returncode == 5
    assert "waited 0.2 s; it is running" in late.stderr
    waiting = host.start("wait", "guest", "--for", "state=crashed")
    os.kill(host.qemu(), signal.SIGKILL)
    assert waiting.wait(timeout=20) == 0
    waiting.communicate()


def test_backends_are_told_before_privileges_are_dropped(host, fake_qemu):
    """QEMU runs as another user. Held up before its first own instruction, it has no privileges already,
    and the store has its backends, but not its readiness."""
    user = 65534 if os.geteuid() == 0 else os.getuid()
    group = 65534 if os.geteuid() == 0 else os.getgid()
    host.folder.chmod(0o755)
    gate, public = host.folder / "gate", host.folder / "public"
    public.mkdir()
    public.chmod(0o777)
    os.mkfifo(gate)
    gate.chmod(0o666)
    for file in (host.image.kernel, host.image.ramdisk):
        shutil.copy(file, public)
        (public / Path(file).name).chmod(0o644)
    fake_qemu(
        f"""
        case "$*" in
            *"-machine none"*) ;;
            *) id -u >{public}/uid.new; mv {public}/uid.new {public}/uid; read _ <{gate} ;;
        esac
        exec qemu-system-x86_64 "$@\""""
    )
    config = host.config(
        kernel=str(public / host.image.kernel.name), ramdisk=str(public / host.image.ramdisk.name)
    )

    host.ok("list")
    store = host.env["XENWIRE_RUN"] + "/store.sock"
    watch = subprocess.Popen(
        ["xenstore-watch", "/local/domain/0/device-model"],
        env={**host.env, "XENSTORED_PATH": store},
        stdout=subprocess.PIPE,
        text=True,
    )
    host.env["XENWIRE_DM_USER"] = f"{user}:{group}"
    creating = host.start("create", config, "--paused")
    events = []
    try:
        while not events or not events[-1].endswith("/backends/vfb"):
            events.append(next(watch.stdout).strip())
        with gate.open("w") as opened:
            assert int((public / "uid").read_text()) == user
            assert "/local/domain/0/device-model/1/state" not in host.nodes()
            opened.write("go\n")
        _, err = creating.communicate(timeout=30)
        assert creating.returncode == 0, err
        while not events[-1].endswith("/state"):
            events.append(next(watch.stdout).strip())
    finally:
        for process in (creating, watch):
            process.kill()
            process.communicate()

    root = "/local/domain/0/device-model/1"
    order = [event.removeprefix(root) for event in events if event.startswith(root)]
    assert order[-1] == "/state"
    assert {"/backends/console", "/backends/qdisk", "/backends/vfb"} < set(order)
    assert Path(f"/proc/{host.qemu()}").stat().st_uid == user


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
def test_roots_qemu_is_a_user_of_its_own_without_files(host):
    host.ok("create", host.config(), "--paused")
    process = Path(f"/proc/{host.qemu()}")
    lines = (process / "status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert status["Uid"] == status["Gid"] == "\t".join([str(0x7000_0000 + 1)] * 4)
    assert (status["CapEff"], status["CapPrm"], status["Seccomp"]) == ("0" * 16, "0" * 16, "2")
    assert os.readlink(process / "root") == f"{host.env['XENWIRE_RUN']}/qemu-root"
    host.ok("channel", "attach", "guest", "org.example.late", "--socket", f"{host.folder}/late.sock")
    host.ok("dm", "command", "guest", "save")
    image = '{"driver": "file", "node-name": "file", "filename": "/etc/passwd", "read-only": true}'
    assert "No such file" in host("dm", "qmp", "guest", "blockdev-add", image).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about root")
def test_root_can_have_it_stay_root(host):
    host.env["XENWIRE_DM_USER"] = "root"
    host.ok("create", host.config(), "--paused")
    assert Path(f"/proc/{host.qemu()}").stat().st_uid == 0
    assert os.readlink(f"/proc/{host.qemu()}/root") == "/"


def test_a_qemu_that_starts_a_program_is_killed(host):
    host.ok("create", host.config(), "--paused")
    lines = Path(f"/proc/{host.qemu()}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    host.ok("dm", "command", "guest", "save")
    assert host("dm", "qmp", "guest", "migrate", '{"uri": "exec:cat >/dev/null"}').returncode != 0
    host.ok("wait", "guest", "--for", "state=crashed")
    assert "QEMU killed by SIGSYS" in host.ok("dm", "status", "guest")


def test_the_configuration_can_have_another_sandbox(host):
    arguments = ["-sandbox", "on,spawn=allow"]
    host.ok("create", host.config(device_model_args=arguments), "--paused")
    command = Path(f"/proc/{host.qemu()}/cmdline").read_text().split("\0")
    assert [command[i + 1] for i, word in enumerate(command) if word == "-sandbox"] == arguments[1:]
