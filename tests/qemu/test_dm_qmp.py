"""`xenwire dm qmp`: a domain's monitor, as users and programs come to it."""

import json
import os
import signal
import socket
import stat

import pytest

pytestmark = pytest.mark.qemu


def test_a_domains_monitor(host):
    host.ok("create", host.config(), "--paused")
    path = host.ok("dm", "qmp", "guest").strip()
    nodes = host.nodes()
    assert nodes["/local/domain/0/device-model/1/qmp"] == path
    read_only = nodes["/local/domain/0/device-model/1/qmp-ro"]
    for each in (path, read_only):
        found = os.stat(each)
        assert stat.S_ISSOCK(found.st_mode)
        assert found.st_mode & 0o777 == 0o600

    assert json.loads(host.ok("dm", "qmp", "guest", "query-status"))["status"] == "prelaunch"
    kind = host.ok("dm", "qmp", "guest", "qom-get", '{"path": "/machine", "property": "type"}')
    assert json.loads(kind).endswith("-machine")

    with socket.socket(socket.AF_UNIX) as watcher:
        watcher.connect(read_only)
        lines = watcher.makefile("r")
        assert "QMP" in json.loads(lines.readline())
        watcher.sendall(b'{"execute":"qmp_capabilities"}{"execute":"quit","id":1}')
        assert json.loads(lines.readline()) == {"return": {}}
        assert "not allowed here" in json.loads(lines.readline())["error"]["desc"]
        assert json.loads(host.ok("dm", "qmp", "guest", "cont")) == {}
        assert json.loads(lines.readline())["event"] == "RESUME"
        lines.close()
    assert host.domains()["guest"]["state"] == "running"
    log = (host.folder / "run" / "log" / "dm-1.log").read_text()
    assert f"uid={os.getuid()} access=full command='cont' ok" in log
    host.ok("destroy", "guest")
    host.assert_clean()


def test_how_a_device_model_is(host):
    host.ok("create", host.config(), "--paused")
    qemu, (agent,) = host.qemu(), host.processes("dm\0run\0")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(host.ok("dm", "qmp", "guest").strip())
        client.sendall(b'{"execute":"qmp_capabilities"}{"execute":"cont"}')
        lines = client.makefile("r")
        while json.loads(lines.readline()) != {"return": {}}:
            pass
        while json.loads(lines.readline()) != {"return": {}}:
            pass
        told = json.loads(host.ok("dm", "status", "guest", "--json"))
        lines.close()
    assert (told["pid"], told["qemu"]) == (agent, qemu)
    assert (told["state"], told["runstate"], told["failure"]) == ("running", "running", None)
    assert told["backends"] == ["console", "qdisk", "qnic", "vfb", "vkbd"]
    assert told["memory"] > 10 << 20
    assert 0 <= told["uptime"] < 60
    assert told["monitor_clients"] == [
        {"pid": os.getpid(), "uid": os.getuid(), "access": "full", "commands": 1}
    ]
    assert host("dm", "command", "guest", "usb-add", "tablet").returncode == 1  # it has no bus for that
    assert "last_command  usb-add tablet: usb-add-failed" in host.ok("dm", "status", "guest")
    host.ok("destroy", "guest")


def test_events_are_followed(host):
    host.ok("create", host.config(), "--paused")
    with host.start("dm", "qmp", "guest", "cont", "--events") as following:
        assert following.stdout.readline() == "{}\n"
        assert json.loads(following.stdout.readline())["event"] == "RESUME"
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 130


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("nosuch",), 1, "The command nosuch has not been found"),
        (("eject", "[1]"), 2, "expected a JSON object"),
        (("eject", "{"), 2, "ARGUMENTS-JSON"),
    ],
)
def test_what_is_refused(host, arguments, status, words):
    host.ok("create", host.config(), "--paused")
    result = host("dm", "qmp", "guest", *arguments)
    assert result.returncode == status
    assert words in result.stderr


def test_a_device_model_that_is_gone_has_no_monitor(host):
    host.ok("create", host.config(), "--paused")
    (agent,) = host.processes("dm\0run\0")
    os.kill(agent, signal.SIGTERM)
    host.ok("wait", "guest", "--for", "state=crashed", "--timeout", "10s")
    result = host("dm", "qmp", "guest", "query-status")
    assert result.returncode == 7
    assert "domain 1 has no monitor" in result.stderr
    host.ok("destroy", "guest")
    host.assert_clean()


def test_a_device_model_that_was_killed_leaves_no_socket(host):
    host.ok("create", host.config(), "--paused")
    (agent,) = host.processes("dm\0run\0")
    os.kill(agent, signal.SIGKILL)
    host.ok("wait", "guest", "--for", "state=crashed", "--timeout", "10s")
    assert host("dm", "qmp", "guest", "query-status").returncode == 7
    host.ok("destroy", "guest")
    host.assert_clean()
