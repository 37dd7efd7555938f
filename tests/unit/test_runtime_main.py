import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xenwire.runtime.main import commit, run

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

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


NESTED = """
import os, signal, sys

def trace(frame, event, _):
    if frame.f_code.co_name == "interrupt":
        def lines(frame, event, _):
            if event == "line" and len(seen) <= LINE:
                seen.append(frame)
                if len(seen) == LINE + 1:
                    os.kill(os.getpid(), signal.SIGTERM)
            return lines
        return lines

seen = []
"""
"""Send a signal more before a certain line of the handler of the first."""


def rest_of(process, timeout=20):
    """Give what it still prints, at its end, which has to come."""
    try:
        return process.communicate(timeout=timeout)[0]
    finally:
        process.kill()


@pytest.mark.parametrize("line", range(6))
def test_a_signal_that_comes_while_another_is_handled(line):
    script = f"LINE = {line}" + NESTED + SCRIPT.replace("run(main())", "sys.settrace(trace)\nrun(main())")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        os.kill(process.pid, signal.SIGTERM)
        out = rest_of(process, timeout=10)
    assert (process.returncode, out) == (143, b"cleaned up\n")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_lets_main_clean_up(number, status, times):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"up\n"
        for _ in range(times):
            os.kill(process.pid, number)
        out = rest_of(process)
    assert (process.returncode, out) == (status, b"cleaned up\n")


TAKEN_BY_A_THREAD = """
import signal, threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
"""


def test_a_signal_that_interrupts_no_wait():
    """A signal that another thread takes leaves the wait alone, as does one that comes just before it."""
    script = TAKEN_BY_A_THREAD + SCRIPT
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            os.sched_yield()
        os.kill(process.pid, signal.SIGTERM)
        out = rest_of(process)
    assert (process.returncode, out) == (143, b"cleaned up\n")


def test_the_result_is_given():
    script = "from xenwire.runtime.main import run\nasync def main(): return 3\nprint(run(main()))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"3\n"


def test_what_follows_can_be_interrupted():
    script = (
        "import os\n"
        "from xenwire.cli._output import write_all\n"
        "from xenwire.runtime.main import run\n"
        "async def main(): return bytes(1 << 20)\n"
        "write_all(1, run(main()))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(1) == b"\0"
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == -signal.SIGINT
    process.communicate()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL, signal.default_int_handler])
def test_the_handlers_are_what_they_were(handler):
    async def main():
        return [signal.getsignal(number) is signal.SIG_IGN for number in ENDING]

    for number in ENDING:
        signal.signal(number, handler)
    assert run(main()) == [handler is signal.SIG_IGN] * 3
    assert [signal.getsignal(number) for number in ENDING] == [handler] * 3


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_after_commit_is_too_late(number):
    async def main():
        await commit()
        os.kill(os.getpid(), number)
        await asyncio.sleep(0)
        return 3

    assert run(main()) == 3
    os.kill(os.getpid(), number)


def test_a_signal_before_commit_is_not():
    reached = []

    async def main():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("before")
        await commit()
        reached.append("after")

    with pytest.raises(KeyboardInterrupt):
        run(main())
    assert reached == ["before"]
