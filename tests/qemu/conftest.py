"""A host of the test's own, driven as a user drives it: through the command line."""

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xenwire.images import build_tiny_guest
from xenwire.runtime.process import ProcessRef, processes_with

COMMAND = [sys.executable, "-m", "xenwire"]
SERVE = "serve\0--host\0"
"""What the command line of the process has that serves channels."""


@pytest.fixture(scope="session")
def image():
    """The tiny guest, built once and cached."""
    return asyncio.run(build_tiny_guest(lambda _phase: None))


@dataclasses.dataclass
class Host:
    """A folder with a host in it: its run folder, its configurations, its sockets."""

    folder: Path
    image: object

    def __post_init__(self):
        self.env = {**os.environ, "XENWIRE_RUN": str(self.folder / "run")}

    def start(self, *arguments, **options):
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def __call__(self, *arguments, timeout=60):
        """Run a command and give its result."""
        with self.start(*arguments) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def ok(self, *arguments, **options):
        """Run a command that has to succeed, and give its output."""
        result = self(*arguments, **options)
        assert result.returncode == 0, f"{arguments}: {result.stderr}"
        return result.stdout

    def config(self, name="guest", *, channels=(), **keys):
        """Write a configuration of the tiny guest."""
        values = {
            "name": name,
            "memory": 256,
            "kernel": str(self.image.kernel),
            "ramdisk": str(self.image.ramdisk),
            "cmdline": self.image.cmdline,
            **keys,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
        lines.append("channel = [" + ", ".join(json.dumps(channel) for channel in channels) + "]")
        path = self.folder / f"{name}.cfg"
        path.write_text("\n".join(lines) + "\n")
        return path

    def domains(self):
        return {d["name"]: d for d in json.loads(self.ok("list", "--json"))}

    def xenstore(self, *arguments):
        """Run one of Debian's own store clients."""
        store = self.env["XENWIRE_RUN"] + "/store.sock"
        return subprocess.run(
            arguments, env={**self.env, "XENSTORED_PATH": store}, capture_output=True, text=True, check=False
        )

    def nodes(self):
        """Give the whole store, as Debian's xenstore-ls shows it."""
        lines = self.xenstore("xenstore-ls", "-f").stdout.splitlines()
        return {path: value[1:-1] for path, _, value in (line.partition(" = ") for line in lines)}

    def processes(self, word=""):
        """Give the pids of this host's processes that have `word` in their command line."""
        pids = [process.pid for process in processes_with("XENWIRE_RUN", self.env["XENWIRE_RUN"])]
        return [pid for pid in pids if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def qemu(self):
        """Give the pid of the one QEMU."""
        (pid,) = self.processes("-S\0")
        return pid

    def assert_clean(self):
        """Nothing but the store and who serves channels is left: no domain, process, node, socket, spool."""
        assert self.domains() == {}
        assert len(self.processes()) == 1 + len(self.processes(SERVE))
        left = [p for p in self.nodes() if p.startswith(("/vm/", "/libxl/", "/local/domain/"))]
        empty = {f"/local/domain/0{rest}" for rest in ("", "/backend", "/backend/console", "/device-model")}
        assert set(left) <= empty
        sockets = {p.name for p in self.folder.rglob("*") if p.is_socket()}
        assert sockets <= {"store.sock", "control-qemu.sock"}
        # What a process that served left behind is removed by the next one.
        deadline = time.monotonic() + 5
        while self.processes(SERVE) and list(Path(self.env["XENWIRE_RUN"]).glob("spool-qemu/*")):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def close(self):
        """End what still runs: device models first, which clean up after themselves, the store at last."""
        for word in ("dm\0run\0", SERVE, "store\0serve\0"):
            for process in filter(None, map(ProcessRef.of, self.processes(word))):
                asyncio.run(process.end(grace=20))
        assert self.processes() == []


@pytest.fixture
def host(short_tmp, image):
    """A host; what a test leaves running in it is ended."""
    host = Host(short_tmp, image)
    yield host
    host.close()


@pytest.fixture
def fake_qemu(short_tmp, host):
    """Have the host use a program of the test's own in QEMU's place."""

    def make(script):
        path = short_tmp / "qemu"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        host.env["XENWIRE_QEMU"] = str(path)
        return path

    return make
