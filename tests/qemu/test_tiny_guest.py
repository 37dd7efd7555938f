"""The tiny guest under a plain QEMU, through plain sockets: nothing of Xenwire but the image takes part."""

import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.qemu, pytest.mark.guest]

PORTS = {"agent": "org.qemu.guest_agent.0", "echo": "org.xenwire.echo.0", "late": "org.xenwire.echo.1"}


class Guest:
    """A QEMU with the tiny guest, its console and each of its ports on a socket."""

    def __init__(self, image):
        self.folder = Path(tempfile.mkdtemp(prefix="xw-"))
        argv = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-m", "256", "-nodefaults"]
        argv += ["-no-user-config", "-display", "none", "-no-reboot"]
        argv += ["-kernel", image.kernel, "-initrd", image.ramdisk]
        argv += ["-append", f"{image.cmdline} hostname=tiny"]
        argv += [*self.chardev("console"), "-serial", "chardev:console", "-device", "virtio-serial-pci"]
        for name, port in PORTS.items():
            argv += [*self.chardev(name), "-device", f"virtserialport,chardev={name},name={port}"]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)

    def chardev(self, name):
        return "-chardev", f"socket,id={name},path={self.folder}/{name},server=on,wait=off"

    def connect(self, name):
        deadline = time.monotonic() + 10
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(45)
            try:
                client.connect(str(self.folder / name))
            except OSError:
                client.close()
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)  # QEMU makes its sockets first of all, and tells nobody
            else:
                return client

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


class Agent:
    """The guest agent, asked over a socket."""

    def __init__(self, client):
        self.client = client
        self.replies = client.makefile("rb")

    def __call__(self, command, **arguments):
        self.client.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        reply = json.loads(self.replies.readline())
        assert "return" in reply, reply
        return reply["return"]

    def run(self, script):
        pid = self("guest-exec", path="sh", arg=["-c", script], **{"capture-output": True})["pid"]
        while not (status := self("guest-exec-status", pid=pid))["exited"]:
            pass
        assert status["exitcode"] == 0, status
        return base64.b64decode(status.get("out-data", "")).decode()

    def close(self):
        self.replies.close()
        self.client.close()


@pytest.fixture(scope="module")
def guest(image):
    guest = Guest(image)
    yield guest
    guest.close()


@pytest.fixture(scope="module")
def agent(guest):
    """The agent, once it has answered."""
    agent = Agent(guest.connect("agent"))
    assert agent("guest-ping") == {}
    yield agent
    agent.close()


def receive(client, count):
    data = b""
    while len(data) < count:
        part = client.recv(count - len(data))
        assert part, data
        data += part
    return data


def read_until(client, text):
    data = b""
    while text not in data:
        part = client.recv(4096)
        assert part, data
        data += part
    return data


def test_who_it_is(agent):
    assert agent("guest-get-osinfo")["id"] == "xenwire-tiny-guest"
    assert agent("guest-get-host-name") == {"host-name": "tiny"}
    links = agent.run("cd /dev/virtio-ports; echo *").split()
    assert links == sorted(PORTS.values())


def test_echo(guest, agent):
    for number in range(3):  # one client after another
        with guest.connect("echo") as client:
            message = b"hello %d" % number
            client.sendall(message)
            assert receive(client, len(message)) == message


def test_echo_of_many_bytes(guest, agent):
    data = os.urandom(200_000)
    with guest.connect("echo") as client:
        for at in range(0, len(data), 10_000):
            client.sendall(data[at : at + 10_000])
            assert receive(client, 10_000) == data[at : at + 10_000]


def test_waiting_for_a_client_starts_no_processes(guest, agent):
    """Nobody is at the other end of the ports of the echo."""
    count = "grep processes /proc/stat"  # how many the guest has started since it booted
    before, after = (int(line.split()[1]) for line in agent.run(f"{count}; sleep 1; {count}").splitlines())
    assert after - before < 10
    with guest.connect("late") as client:
        client.sendall(b"late")
        assert receive(client, 4) == b"late"


def test_console(guest, agent):
    with guest.connect("console") as client:
        # What says so is in the foreground already: ^C any earlier might hit the shell, which ignores it.
        client.sendall(b"sh -c 'echo up$((6 * 7)); exec sleep 1000'\n")
        read_until(client, b"up42")
        client.sendall(b"\x03")  # job control: it ends the sleep, not the shell
        client.sendall(b"echo still''$((6 * 7)); exit\n")
        read_until(client, b"still42")
        read_until(client, b"built-in shell")  # the next one
        client.sendall(b"echo again''$((6 * 7))\n")
        read_until(client, b"again42")


def test_the_agent_is_started_again(guest, agent):
    with guest.connect("console") as client:
        client.sendall(b"killall -9 qemu-ga; while ! pidof qemu-ga; do usleep 10000; done; echo came''back\n")
        read_until(client, b"cameback")
    assert agent("guest-ping") == {}


@pytest.mark.parametrize("how", ["agent", "console"])
def test_it_ends_when_told_to(image, how):
    guest = Guest(image)
    try:
        agent = Agent(guest.connect("agent"))
        agent("guest-ping")
        if how == "agent":
            agent.client.sendall(b'{"execute": "guest-shutdown"}\n')  # is not answered
        else:
            with guest.connect("console") as client:
                client.sendall(b"reboot\n")
        assert guest.process.wait(20) == 0
        agent.close()
    finally:
        guest.close()
