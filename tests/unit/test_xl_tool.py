"""Running a program in xl's place: what it does with time, output and words. tests/xen has the real xl."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from xenwire.errors import NotFound, ProtocolError, TimedOut, XenwireError
from xenwire.types import DomId
from xenwire.xl import Xl

TABLE = Path(__file__).parent.parent / "data" / "xl" / "list.txt"
LISTING = TABLE.parent.parent / "xlcfg" / "live" / "live-pv.list.json"


@pytest.fixture
def xl(tmp_path, monkeypatch):
    """Put a shell script in xl's place."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def make(script):
        program = tmp_path / "xl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return Xl.find()

    return make


async def test_it_is_found_on_the_path(xl, tmp_path):
    assert xl("").program == tmp_path / "xl"


async def test_there_is_none(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _name, path: None)
    with pytest.raises(NotFound):
        Xl.find()


async def test_a_listing(xl):
    domains = await xl(f'[ "$*" = "list -v" ] && cat {TABLE}').domains()
    assert [d.domid for d in domains] == [0, 16, 17, 18]


async def test_its_version(xl):
    tool = xl("printf 'release : 6.1\\nxen_version            : 4.17.5\\nxen_caps : x\\n'")
    assert await tool.version() == (4, 17, 5)
    with pytest.raises(ProtocolError):
        await xl("echo xen_major : 4").version()


async def test_one_that_is_not_there(xl):
    with pytest.raises(NotFound) as caught:
        await xl("echo \"Error: Domain '$3' does not exist.\" >&2; exit 1").domains(DomId(3))
    assert caught.value.reason == "Domain '3' does not exist."


async def test_a_configuration(xl):
    config = await xl(f'[ "$*" = "list -l 4" ] && cat {LISTING}').config(DomId(4))
    assert config.c_info.name == "live-pv"
    assert [channel.name for channel in config.channels] == ["org.example.agent.1", "log"]


@pytest.mark.parametrize("output", ["", f"cat {LISTING}"])
async def test_no_configuration(xl, output):
    with pytest.raises(NotFound, match="configuration of domain 5"):
        await xl(output).config(DomId(5))


async def test_nonsense_is_no_configuration(xl):
    with pytest.raises(XenwireError):
        await xl("echo '[1'").config(DomId(5))


async def test_it_reads_the_configuration_that_was_given(xl):
    tool = xl('[ "$1 $2 $3" = "create -q -p" ] || exit 1; echo "libxl: error: $(cat "$4")" >&2')
    assert await tool.create("a", b'name = "a"', 5) == ['name = "a"']


async def test_a_failure_has_its_words(xl):
    with pytest.raises(XenwireError, match="cannot create domain 'a': no luck"):
        await xl('echo "libxl: error: x.c:1:f: Domain 3:no luck" >&2; exit 3').create("a", b"", 5)


async def test_an_error_counts_whatever_the_status(xl):
    tool = xl('echo "libxl: error: x.c:1:f: Domain 3:Pausing domain: No such process" >&2')
    for act in (tool.pause, tool.unpause, tool.destroy):
        with pytest.raises(NotFound):
            await act(DomId(3))


async def test_it_is_ended_when_it_takes_too_long(xl, tmp_path):
    tool = xl(f"echo $$ >{tmp_path}/pid; exec sleep 60")
    with pytest.raises(TimedOut, match=r"xl create was not done after 0\.5 s"):
        await tool.create("a", b"", 0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_it_is_ended_when_cancelled_and_no_terminal_reaches_it(xl, tmp_path):
    os.mkfifo(tmp_path / "pid")
    tool = xl(f"echo $$ >{tmp_path}/pid; exec sleep 60")
    creating = asyncio.create_task(tool.create("a", b"", 60))
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    assert os.getsid(pid) == pid
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_output_without_end_is_refused(xl):
    with pytest.raises(ProtocolError):
        await xl("exec yes").domains()


async def test_words_without_end_are_bounded(xl):
    assert len(await xl("yes 'libxl: error: no' | head -n 200000 >&2").create("a", b"", 10)) == 1000


async def test_killed(xl):
    with pytest.raises(XenwireError, match=signal.SIGKILL.name):
        await xl("kill -KILL $$").domains()
