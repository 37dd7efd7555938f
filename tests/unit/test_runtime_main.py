import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import asyncio
from xenwire.runtime.main import run

async def main():
    print("up", flush=True)
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.05)
        print("cleaned up", flush=True)

run(main())
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_lets_main_clean_up(number, status, times):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    for _ in range(times):
        os.kill(process.pid, number)
    out, _ = process.communicate(timeout=20)
    assert out == b"cleaned up\n"
    assert process.returncode == status


def test_the_result_is_given():
    script = "from xenwire.runtime.main import run\nasync def main(): return 3\nprint(run(main()))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"3\n"


def test_a_signal_after_the_end_is_too_late():
    script = (
        "import os, signal\n"
        "from xenwire.runtime.main import run\n"
        "async def main(): return 3\n"
        "result = run(main())\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print(result)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"3\n"
