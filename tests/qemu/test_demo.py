"""The demo, as a newcomer runs it."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from xenwire.runtime.process import processes_with

from .conftest import COMMAND

pytestmark = [pytest.mark.qemu, pytest.mark.guest]


def start():
    env = {key: value for key, value in os.environ.items() if key != "XENWIRE_RUN"}
    return subprocess.Popen(
        [*COMMAND, "demo"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def assert_nothing_is_left(output):
    folder = re.search(r"folder (/\S*xenwire-demo-\S+)", output)[1]
    assert not Path(folder).exists()
    assert processes_with("XENWIRE_RUN", folder) == []


def test_two_demos_at_once(image):
    for process in [start(), start()]:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        steps = re.findall(r"^ *(\d+) +\d+\.\d\d s  (.*)", out, re.MULTILINE)
        assert [int(number) for number, _ in steps] == list(range(1, 13))
        assert "backends console qdisk qnic vkbd vfb" in out
        assert out.count("b'hello, guest'") == 2
        assert "'a line from the guest'" in out
        assert "1000000 bytes swallowed" in out
        assert 'state = "running"' in out
        assert_nothing_is_left(out)


@pytest.mark.parametrize("after", ["host found", "store up", "channels", "guest up", "echo through"])
def test_an_interrupted_demo_leaves_nothing(image, after):
    process = start()
    out = ""
    while after not in (line := process.stdout.readline()):
        assert line
        out += line
    os.killpg(process.pid, signal.SIGINT)
    rest, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert_nothing_is_left(out + line + rest)
