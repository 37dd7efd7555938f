"""Statistics and options of channels, by the command line and a real guest."""

import json
import os
import signal
import socket
import stat
import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from xenwire.runtime.process import ProcessRef

from .conftest import SERVE

pytestmark = [pytest.mark.qemu, pytest.mark.guest]

COUNTS = ("from_guest", "to_guest", "dropped", "clients", "delivered", "waiting", "generation", "joined")
LIMIT = 1 << 20


def listed(host):
    return {c["name"]: c for c in json.loads(host.ok("channel", "list", "guest", "--json"))}


def counted(host, name, **expected):
    """Wait until a channel has these counts."""
    deadline = time.monotonic() + 20
    while not expected.items() <= (found := listed(host)[name]).items():
        assert time.monotonic() < deadline, found
    return found


def in_guest(host, command):
    return host.ok("agent", "exec", "guest", "--", "sh", "-c", command)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_statistics_and_options(host):
    folder, port = host.folder, free_port()
    host.ok(
        "create",
        host.config(
            channels=[
                f"connection=socket,name=org.qemu.guest_agent.0,path={folder}/agent.sock",
                "connection=none,name=a.none",
                f"connection=path,name=a.log,path={folder}/log",
            ]
        ),
    )
    host.ok("agent", "ping", "guest", "--timeout", "60s")

    # Who serves can be replaced at any moment; while nobody does, nothing is known.
    (pid,) = host.processes(SERVE)
    old = ProcessRef.of(pid)
    os.kill(pid, signal.SIGKILL)
    while old.alive:
        time.sleep(0.01)
    assert {c[key] for c in listed(host).values() for key in COUNTS} == {None}
    assert host.ok("channel", "list", "guest").splitlines()[1].split()[-4:] == ["-"] * 4
    serving = host.start("serve", "--host", "qemu:", "--metrics", port, "--log-format", "json")
    try:
        counted(host, "org.qemu.guest_agent.0", joined=True)
        in_guest(host, "cd /dev/virtio-ports; echo hello >a.log; head -c 300000 /dev/zero >a.none")
        counted(host, "a.log", from_guest=6, delivered=6, waiting=0, to_guest=0, generation=1)
        counted(host, "a.none", from_guest=300_000, delivered=300_000, dropped=0)

        late = folder / "late.sock"
        owner = str(os.getuid())
        options = ["--replay", "4K", "--broadcast", "--mode", "0660", "--owner", owner]
        host.ok("channel", "attach", "guest", "a.late", "--socket", late, *options)
        assert stat.S_IMODE(late.stat().st_mode) == 0o660
        backend = "/local/domain/0/backend/console/1/4"
        nodes = host.nodes()
        keys = ("replay", "broadcast", "mode", "owner", "block")
        assert [nodes.get(f"{backend}/{key}") for key in keys] == ["4096", "1", "0660", owner, None]

        in_guest(host, "until [ -e /dev/virtio-ports/a.late ]; do sleep 0.1; done")
        in_guest(host, "head -c 1500000 /dev/zero >/dev/virtio-ports/a.late")
        counted(host, "a.late", from_guest=1_500_000, waiting=LIMIT, dropped=1_500_000 - LIMIT, clients=0)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(late))
            client.sendall(b"hello")
            counted(host, "a.late", clients=1, to_guest=5)

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        values = {(s.name, s.labels.get("name")): s.value for family in families for s in family.samples}
        assert values["xenwire_channel_dropped_bytes_total", "a.late"] == 1_500_000 - LIMIT
        assert values["xenwire_channels_served", None] == 4
        host.ok("channel", "detach", "guest", "a.late")

        for refused, why in [
            (["--none", "--block"], "kind none cannot have block"),
            (["--log", folder / "x", "--replay", "1"], "kind path cannot have replay"),
            (["--pty", "--broadcast"], "kind pty cannot have broadcast"),
            (["--socket", folder / "x", "--replay", "1X"], "not a size"),
            (["--socket", folder / "x", "--mode", "1777"], "cannot have mode"),
        ]:
            result = host("channel", "attach", "guest", "x", *refused)
            assert result.returncode == 2
            assert why in result.stderr
        attached = host("channel", "attach", "guest", "a.block", "--pty", "--block")
        assert "it waits" in attached.stderr
    finally:
        serving.terminate()
        _, said = serving.communicate(timeout=20)
    (warning,) = [json.loads(line) for line in said.splitlines()]
    assert (warning["level"], warning["domid"], warning["devid"]) == ("warning", 1, 4)
    assert not (folder / "run" / "control-qemu.sock").exists()
    host.ok("destroy", "guest")
    host.assert_clean()


@pytest.mark.parametrize("address", ["0", "65536", "here:9478", "127.0.0.1", "1.2.3:1", "[::1]", "::1:5"])
def test_where_metrics_cannot_be(host, address):
    refused = host("serve", "--host", "qemu:", "--metrics", address)
    assert refused.returncode == 2
    assert "cannot offer metrics" in refused.stderr
