import os
import subprocess
import sys

import pytest

from xenwire.runtime.process import ProcessRef

PARENT = """
import asyncio, subprocess, sys
from xenwire.runtime.lifeline import Lifeline
from xenwire.runtime.process import spawn

async def main(child):
    with Lifeline() as lifeline:
        process = await spawn(
            [sys.executable, "-c", child],
            stdout=subprocess.PIPE, pass_fds=[lifeline.fd], die_with_parent="setresuid" in child,
        )
        lifeline.hold(process.pid)
        await process.stdout.readline()
        print(process.pid, flush=True)
        sys.stdin.readline()
    print(await process.wait(), flush=True)

asyncio.run(main(sys.argv[1]))
"""
CHILD = "import os, time; {}; print(flush=True); time.sleep(600)"


@pytest.fixture
def family():
    """Start a process that holds a child, and give both once that runs."""
    parents = []

    def start(change="pass"):
        argv = [sys.executable, "-c", PARENT, CHILD.format(change)]
        parent = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        parents.append(parent)
        return parent, ProcessRef.of(int(parent.stdout.readline()))

    yield start
    for parent in parents:
        parent.kill()
        parent.communicate()


@pytest.mark.parametrize(
    "change",
    [
        "pass",
        pytest.param(
            "os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else"),
        ),
    ],
)
async def test_a_child_dies_with_its_parent_whoever_it_is_by_then(family, change):
    parent, child = family(change)
    assert child.alive
    parent.kill()
    await child.wait()


def test_a_child_is_killed_when_it_is_let_go(family):
    parent, _ = family()
    assert int(parent.communicate(b"\n")[0]) == -9
