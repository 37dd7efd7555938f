"""`xenwire channel seed`, with a host in this process and a guest that does as its script says."""

import asyncio
import contextlib
import io
import tarfile
import uuid

import pytest
import yaml

from xenwire.channels.keys import Channel
from xenwire.cli import channel as commands
from xenwire.cli import run
from xenwire.hosts import Domain, DomainInfo, DomainState
from xenwire.types import ChannelKind, ChannelName, DevId, DomId

NAME = "org.xenwire.seed.0"


class Web(Domain):
    """A domain whose guest asks for its seed as soon as somebody listens, and keeps what it was given."""

    device_model = None
    domid, name = DomId(3), "web"

    def __init__(self, folder, kind=ChannelKind.SOCKET):
        self.path = folder / "seed"
        self.kind = kind
        self.given = None

    async def info(self):
        return DomainInfo(self.domid, self.name, uuid.UUID(int=7), DomainState.RUNNING, 64, 1)

    async def channels(self):
        path = str(self.path) if self.kind is ChannelKind.SOCKET else None
        return [Channel(self.domid, DevId(1), ChannelName(NAME), self.kind, path=path)]

    async def config(self):
        raise NotImplementedError

    attach = detach = remember = statistics = config
    console = pause = unpause = destroy = wait_state = config

    @contextlib.asynccontextmanager
    async def connect(self, _uri):
        answers = []

        async def answer(reader, writer):
            answers.append(asyncio.current_task())
            with contextlib.closing(writer):
                await self.answer(reader, writer)

        async with await asyncio.start_unix_server(answer, self.path):
            yield self
        await asyncio.gather(*answers)

    async def find(self, _reference):
        return self

    async def answer(self, reader, writer):
        writer.write(b"seed 1\n")
        packed = await reader.readexactly(int(await reader.readline()))
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            self.given = {member.name: archive.extractfile(member).read() for member in archive}
        writer.write(b"done\n")


@pytest.fixture
def seed(short_tmp, monkeypatch, capsys):
    """Run the command on a domain, with user data, and give its status and errors."""
    (short_tmp / "user").write_bytes(b"#cloud-config\n")

    def seed(web, *arguments):
        monkeypatch.setattr(commands, "connect", web.connect)
        status = run(["channel", "seed", "web", "--user-data", str(short_tmp / "user"), *map(str, arguments)])
        out, err = capsys.readouterr()
        assert out == ""
        return status, err

    return seed


def test_it_is_what_cloud_init_needs(seed, short_tmp):
    web = Web(short_tmp)
    assert seed(web) == (0, "")
    assert web.given.keys() == {"user-data", "meta-data"}
    assert web.given["user-data"] == b"#cloud-config\n"
    about = {"instance-id": str(uuid.UUID(int=7)), "local-hostname": "web"}
    assert yaml.safe_load(web.given["meta-data"]) == about


def test_files_of_ones_own(seed, short_tmp):
    web, more = Web(short_tmp), ("meta-data", "network-config", "vendor-data")
    for name in more:
        (short_tmp / name).write_text(name)
    assert seed(web, *(part for name in more for part in (f"--{name}", short_tmp / name))) == (0, "")
    assert web.given == {"user-data": b"#cloud-config\n"} | {name: name.encode() for name in more}


def test_there_is_no_such_channel(seed, short_tmp):
    status, err = seed(Web(short_tmp), "--name", "org.example.seed.1")
    assert status == 3
    assert err.splitlines() == [
        "xenwire: domain web has no channel 'org.example.seed.1'",
        f"  why: it has {NAME}",
        "  try: xenwire channel attach web org.example.seed.1 --socket PATH",
    ]


def test_a_channel_of_another_kind(seed, short_tmp):
    status, err = seed(Web(short_tmp, ChannelKind.NONE))
    assert status == 3 and "nothing to attach to" in err and "attach web" not in err


def test_files_that_cannot_be_used(seed, short_tmp):
    web = Web(short_tmp)
    assert seed(web, "--meta-data", short_tmp / "absent")[0] == 3
    (short_tmp / "large").write_bytes(bytes((1 << 20) + 1))
    assert seed(web, "--meta-data", short_tmp / "large")[0] == 2
    (short_tmp / "large").write_bytes(bytes(1 << 20))
    status, err = seed(web, "--meta-data", short_tmp / "large")
    assert status == 2 and "the seed is too large" in err
    assert web.given is None


def test_a_guest_that_says_nothing(seed, short_tmp):
    web = Web(short_tmp)

    async def answer(reader, _writer):
        await reader.read()

    web.answer = answer
    status, err = seed(web, "--timeout", "10ms")
    assert status == 5
    assert "has not asked for its seed" in err and "xenwire-seed.service" in err
