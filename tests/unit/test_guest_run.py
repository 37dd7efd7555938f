"""Programs for channels that come and go, in a made-up guest whose devices are ptys."""

import asyncio
import logging
import os
import termios
from contextlib import asynccontextmanager

import pytest
from tests.unit.guest_tree import Tree
from tests.unit.xenstore_daemon import Daemon

from xenwire.errors import Unreachable
from xenwire.guest.find import Finder
from xenwire.guest.news import News, follow
from xenwire.guest.run import run_units
from xenwire.runtime.process import ProcessRef
from xenwire.xenstore import BlockingStore

EVERY_BYTE = bytes(range(256))
NEVER = 60.0  # seconds: longer than a test


class Host:
    """The host's end of a device: a pty whose terminal stands for it."""

    def __init__(self):
        self.controller, terminal = os.openpty()
        self.path = os.ttyname(terminal)
        os.close(terminal)
        os.set_blocking(self.controller, False)

    async def read(self, count):
        loop, data = asyncio.get_running_loop(), b""
        async with asyncio.timeout(10):
            while len(data) < count:
                readable = asyncio.Event()
                loop.add_reader(self.controller, readable.set)
                await readable.wait()
                loop.remove_reader(self.controller)
                try:
                    data += os.read(self.controller, count - len(data))
                except OSError:  # nobody has the terminal open yet
                    await asyncio.sleep(0.001)
        return data

    async def line(self):
        data = b""
        while not data.endswith(b"\n"):
            data += await self.read(1)
        return data.decode().strip()

    async def process(self):
        """Give the process that has told its pid."""
        return ProcessRef.of(int(await self.line()))

    def write(self, data):
        os.write(self.controller, data)

    def hang_up(self):
        os.close(self.controller)
        self.controller = -1


@pytest.fixture
def host():
    hosts = []

    def make():
        hosts.append(Host())
        return hosts[-1]

    yield make
    for one in hosts:
        if one.controller >= 0:
            one.hang_up()


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path)
    (tmp_path / "units").mkdir()
    return tree


@pytest.fixture
def unit(tmp_path):
    def write(name, script, *lines):
        text = "\n".join(["program = /bin/sh", f"arguments = -c '{script}'", *lines])
        (tmp_path / f"units/{name}.unit").write_text(text)

    return write


@asynccontextmanager
async def running(tree, **options):
    """Run the units; gives the news to tell, once it has looked for the first time."""
    news, looked = News(NEVER), asyncio.Event()
    finder = Finder(tree.places, release="6.1", **options)
    folder = tree.sys.parent / "units"
    task = asyncio.create_task(run_units(folder, finder, news, ready=looked.set))
    try:
        async with asyncio.timeout(10):
            await looked.wait()
        yield news
    finally:
        task.cancel()
        await asyncio.wait([task])


async def looked_again(news):
    """Have a look, and wait until it is over."""
    waiting = asyncio.Event()
    wait = news.wait

    async def tell_and_wait():
        waiting.set()
        await wait()

    news.wait = tell_and_wait
    news.tell()
    async with asyncio.timeout(10):
        await waiting.wait()


async def test_a_program_has_the_channel_as_stdin_and_stdout(tree, host, unit):
    port = host()
    tree.plug("vport0p1", "org.a.0", terminal=port.path)
    unit("org.a.0", "echo $$; exec cat")
    async with running(tree):
        program = await port.process()
        port.write(EVERY_BYTE)
        assert await port.read(256) == EVERY_BYTE
        assert program.alive
    assert not program.alive


async def test_channels_come_and_go(tree, host, unit):
    unit("org.a.0", "echo $$; exec cat")
    async with running(tree) as news:
        for _ in range(2):
            port = host()
            tree.plug("vport0p1", "org.a.0", terminal=port.path)
            news.tell()
            program = await port.process()
            tree.unplug("vport0p1")
            news.tell()
            async with asyncio.timeout(10):
                await program.wait()


async def test_only_channels_with_a_unit(tree, host, unit):
    ports = [host() for _ in range(3)]
    tree.plug("vport0p1", "org.other.0", terminal=ports[0].path)
    tree.plug("vport0p2", terminal=ports[1].path)
    tree.plug("vport0p3", "org.a.0", terminal=ports[2].path)
    unit("org.a.0", "echo $$; exec cat")
    unit("org.absent.0", "exec cat")
    async with running(tree):
        await ports[2].process()
        for port in ports[:2]:  # nobody has made these raw
            assert not is_raw(port)


def is_raw(port):
    return not termios.tcgetattr(port.controller)[3] & termios.ICANON


async def test_a_console_of_xens(tmp_path, short_tmp, host, unit):
    with Daemon(short_tmp / "store") as daemon:
        xen, port = Tree(tmp_path, daemon.path), host()
        (tmp_path / "units").mkdir()
        (xen.dev / "hvc1").unlink()
        (xen.dev / "hvc1").symlink_to(port.path)
        xen.attach(1, "org.a.0", state=3)
        unit("org.a.0", "echo $XENWIRE_CHANNEL %k $XENWIRE_CHANNEL_KIND; exec cat")
        async with running(xen) as news:
            xen.write("device/console/1/state", "4")
            news.tell()
            assert await port.line() == "org.a.0 pv pv"


async def test_it_is_held_open_for_a_program_that_opens_it_itself(tmp_path, short_tmp, host, unit):
    with Daemon(short_tmp / "store") as daemon:
        xen, port = Tree(tmp_path, daemon.path), host()
        (tmp_path / "units").mkdir()
        (xen.dev / "hvc1").unlink()
        (xen.dev / "hvc1").symlink_to(port.path)
        xen.attach(1, "org.a.0")
        unit("org.a.0", "echo $$ >$XENWIRE_CHANNEL_DEVICE; exec cat", "stdio = no", "restart = never")
        async with running(xen):
            await port.process()
            assert is_raw(port)


async def test_a_terminal_that_hangs_up_is_opened_anew(tree, host, unit, monkeypatch):
    """As after a restore: the same device, by another terminal. The program has not noticed."""
    for pause in ("_FIRST_PAUSE", "_HANG_UP_PAUSE"):
        monkeypatch.setattr(f"xenwire.guest.run.{pause}", 0.01)
    old, new = host(), host()
    tree.plug("vport0p1", "org.a.0", terminal=old.path)
    unit("org.a.0", "echo $$; exec 0</dev/null; exec sleep 100")
    async with running(tree):
        program = await old.process()
        (tree.dev / "vport0p1").unlink()
        (tree.dev / "vport0p1").symlink_to(new.path)
        old.hang_up()
        async with asyncio.timeout(10):
            await program.wait()
        await new.process()
        assert is_raw(new)


@pytest.mark.parametrize(
    ("restart", "status", "again"),
    [
        ("always", 0, True),
        ("always", 1, True),
        ("on-failure", 1, True),
        ("on-failure", 0, False),
        ("never", 1, False),
    ],
)
async def test_restarts(tree, host, unit, monkeypatch, restart, status, again):
    monkeypatch.setattr("xenwire.guest.run._FIRST_PAUSE", 0.001)
    port = host()
    tree.plug("vport0p1", "org.a.0", terminal=port.path)
    unit("org.a.0", f"read x; echo $$; exit {status}", f"restart = {restart}")
    async with running(tree) as news:
        port.write(b"\n")
        first = await port.process()
        async with asyncio.timeout(10):
            await first.wait() if first else None
        news.tell()
        port.write(b"\n")
        if again:
            await port.line()
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await port.line()


async def test_a_changed_unit_starts_its_program_anew(tree, host, unit):
    port = host()
    tree.plug("vport0p1", "org.a.0", terminal=port.path)
    unit("org.a.0", "echo $$; exec cat")
    async with running(tree) as news:
        program = await port.process()
        unit("org.a.0", "echo changed; exec cat")
        news.tell()
        assert await port.line() == "changed"
        assert not program.alive


async def test_what_is_in_the_way_is_said_once(tree, host, unit, caplog):
    tree.plug("vport0p1", "org.a.0")
    (tree.dev / "vport0p1").unlink()
    unit("org.a.0", "exec cat")
    unit("org.b.0", "exec cat", "restart = often")
    async with running(tree) as news:
        for _ in range(3):
            await looked_again(news)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 2
    assert any("org.b.0.unit" in text for text in said) and any("there is no" in text for text in said)


async def test_a_program_that_is_not_there(tree, host, tmp_path, caplog):
    tree.plug("vport0p1", "org.a.0", terminal=host().path)
    (tmp_path / "units/org.a.0.unit").write_text("program = /nowhere/agent\nrestart = never")
    async with running(tree) as news:
        await news.wait()
    assert "there is no such program" in caplog.text


async def test_the_first_look_has_to_succeed_and_later_ones_may_fail(tmp_path, short_tmp, host, unit, caplog):
    (tmp_path / "units").mkdir()
    unit("org.a.0", "echo $$; exec cat")
    with Daemon(short_tmp / "store") as daemon:
        tree, port = Tree(tmp_path, daemon.path), host()
        tree.plug("vport0p1", "org.a.0", terminal=port.path)
        async with running(tree) as news:
            program = await port.process()
            await asyncio.to_thread(daemon.stop)
            await looked_again(news)
            assert "no store was found" in caplog.text
            assert program.alive
    with pytest.raises(Unreachable):
        await run_units(tmp_path, Finder(tree.places), News(NEVER))


async def test_news_of_the_store(short_tmp):
    with Daemon(short_tmp / "store") as daemon:
        async with follow(store=True, address=daemon.path, tick=NEVER) as news, asyncio.timeout(10):
            await news.wait()  # a watch tells at once
            await asyncio.to_thread(_write, daemon.path, "device/console/1/state")
            await news.wait()


def _write(path, node):
    with BlockingStore.connect(path) as store:
        store.write(node, "1")


async def test_news_by_the_clock():
    async with follow(store=False, tick=0.001) as news, asyncio.timeout(10):
        await news.wait()
