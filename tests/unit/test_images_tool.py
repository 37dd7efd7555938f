"""Running tools to their end."""

import asyncio

import pytest

from xenwire.errors import NotFound, XenwireError
from xenwire.images import _tool


async def test_output():
    data = bytes(range(256)) * 4096
    assert await _tool.run(["cat"], stdin=data) == data


async def test_its_language_is_english():
    assert await _tool.run(["sh", "-c", "echo $LC_ALL"]) == b"C.UTF-8\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo W: first >&2; echo E: what is wrong >&2; echo E: and more >&2; exit 100", "what is wrong"),
        ("echo one >&2; echo two >&2; echo >&2; exit 1", "two"),
        ("exit 1", "it did not say why"),
    ],
)
async def test_failure(script, words, tmp_path):
    with pytest.raises(XenwireError) as caught:
        await _tool.run(["sh", "-c", script])
    assert caught.value.reason == f"sh failed: {words}"
    with pytest.raises(XenwireError) as caught:
        await _tool.follow(["sh", "-c", script], lambda _: None, cwd=tmp_path)
    assert caught.value.reason == f"sh failed: {words}"


async def test_lines_as_they_come(tmp_path):
    lines = []
    await _tool.follow(["sh", "-c", "pwd; echo two >&2"], lines.append, cwd=tmp_path)
    assert lines == [str(tmp_path), "two"]


async def test_no_such_program():
    with pytest.raises(NotFound) as caught:
        await _tool.run(["no-such-program"])
    assert caught.value.reason == "there is no program no-such-program"


async def test_interrupted(tmp_path):
    """It is ended, and none of its pipes stays open (a warning would fail the test)."""
    said = asyncio.Event()
    script = "echo started; head -c 50000 /dev/zero; exec sleep 1000"
    task = asyncio.create_task(_tool.follow(["sh", "-c", script], lambda _: said.set(), cwd=tmp_path))
    await said.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
