"""A plain QEMU with each of its ports on a socket: nothing of Xenwire takes part."""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path


class Machine:
    """A QEMU with a guest, its console and each of its ports, by a name for each, on a socket."""

    def __init__(self, kernel, ramdisk, cmdline, ports, *more, memory=256):
        self.folder = Path(tempfile.mkdtemp(prefix="xw-"))
        argv = ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-m", str(memory), "-nodefaults"]
        argv += ["-no-user-config", "-display", "none", "-no-reboot"]
        argv += ["-kernel", kernel, "-initrd", ramdisk, "-append", cmdline, *more]
        argv += [*self.chardev("console"), "-serial", "chardev:console", "-device", "virtio-serial-pci"]
        for name, port in ports.items():
            argv += [*self.chardev(name), "-device", f"virtserialport,chardev={name},name={port}"]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)

    def chardev(self, name):
        return "-chardev", f"socket,id={name},path={self.folder}/{name},server=on,wait=off"

    def connect(self, name, timeout=45):
        deadline = time.monotonic() + 10
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(timeout)
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
            time.sleep(0.05)  # nobody tells, and asking takes the guest's time
        assert status["exitcode"] == 0, status
        return base64.b64decode(status.get("out-data", "")).decode()

    def close(self):
        self.replies.close()
        self.client.close()


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
