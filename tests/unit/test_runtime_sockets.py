import asyncio
import os
import socket
import stat

import pytest

from xenwire.errors import Conflict, Denied, NotFound, UsageError
from xenwire.runtime.sockets import MAX_SOCKET_PATH, SocketFile, listen_unix


async def test_listens_and_lets_only_the_owner_in(short_tmp):
    path = short_tmp / "a.sock"
    with await listen_unix(path) as listener, socket.socket(socket.AF_UNIX) as client:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        client.connect(str(path))
        peer, _ = listener.accept()
        peer.close()


async def test_mode_is_as_asked(short_tmp):
    with await listen_unix(short_tmp / "a.sock", mode=0o660):
        assert stat.S_IMODE((short_tmp / "a.sock").lstat().st_mode) == 0o660


async def test_a_stale_socket_file_is_replaced(short_tmp):
    path = short_tmp / "a.sock"
    (await listen_unix(path)).close()
    assert path.is_socket()
    with await listen_unix(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


async def test_a_live_listener_is_left_alone(short_tmp):
    path = short_tmp / "a.sock"
    with await listen_unix(path, backlog=1), pytest.raises(Conflict, match="another program listens"):
        await listen_unix(path)
    assert path.is_socket()


async def test_a_live_listener_with_a_full_backlog_is_left_alone(short_tmp):
    path = short_tmp / "a.sock"
    clients = []
    with await listen_unix(path, backlog=0):
        while True:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            clients.append(client)
            try:
                client.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(Conflict, match="another program listens"):
            await listen_unix(path)
    for client in clients:
        client.close()


async def test_a_file_is_never_deleted(short_tmp):
    path = short_tmp / "precious"
    path.write_text("data")
    with pytest.raises(Conflict, match="not a socket"):
        await listen_unix(path)
    assert path.read_text() == "data"


async def test_a_link_to_a_file_is_not_followed(short_tmp):
    (short_tmp / "precious").write_text("data")
    (short_tmp / "link").symlink_to(short_tmp / "precious")
    with pytest.raises(Conflict, match="not a socket"):
        await listen_unix(short_tmp / "link")


@pytest.mark.parametrize(("length", "fits"), [(MAX_SOCKET_PATH, True), (MAX_SOCKET_PATH + 1, False)])
async def test_length_of_the_path(short_tmp, length, fits):
    path = short_tmp / ("x" * (length - len(str(short_tmp)) - 1))
    if fits:
        (await listen_unix(path)).close()
    else:
        with pytest.raises(UsageError, match=f"has {length} bytes"):
            await listen_unix(path)


async def test_a_missing_folder_is_named(short_tmp):
    with pytest.raises(NotFound) as caught:
        await listen_unix(short_tmp / "none" / "a.sock")
    assert str(short_tmp / "none") in (caught.value.reason or "")


async def test_a_folder_that_is_a_file(short_tmp):
    (short_tmp / "file").touch()
    with pytest.raises(NotFound):
        await listen_unix(short_tmp / "file" / "a.sock")


def test_a_folder_one_may_not_write(short_tmp, monkeypatch):
    short_tmp.chmod(0o755)
    locked, run = short_tmp / "locked", short_tmp / "nobody"
    locked.mkdir(0o555)
    run.mkdir(0o700)
    monkeypatch.setenv("XENWIRE_RUN", str(run))
    pid = os.fork()
    if pid == 0:
        if os.geteuid() == 0:  # root may write anywhere; nobody may not
            os.chown(run, 65534, 65534)
            os.setuid(65534)
        try:
            asyncio.run(listen_unix(locked / "a.sock"))
        except Denied as error:
            os._exit(0 if str(locked) in (error.reason or "") else 2)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


async def test_of_many_at_once_one_wins(short_tmp):
    """A stale file and eight takers: whoever finds it stale must not remove what another has bound."""
    path = short_tmp / "a.sock"
    for _ in range(20):
        (await listen_unix(path)).close()
        results = await asyncio.gather(*(listen_unix(path) for _ in range(8)), return_exceptions=True)
        won = [result for result in results if isinstance(result, socket.socket)]
        assert len(won) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 7
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        won[0].close()


async def test_nothing_else_is_left_in_the_folder(short_tmp):
    folder = short_tmp / "sockets"
    folder.mkdir()
    with await listen_unix(folder / "a.sock"), pytest.raises(Conflict):
        await listen_unix(folder / "a.sock")
    assert [entry.name for entry in folder.iterdir()] == ["a.sock"]


async def test_the_name_that_the_socket_tells_is_not_its_path(short_tmp):
    with await listen_unix(short_tmp / "a.sock") as listener:
        assert not os.path.lexists(listener.getsockname())


async def test_only_our_own_socket_is_removed(short_tmp):
    path = short_tmp / "a.sock"
    with await listen_unix(path):
        ours = SocketFile.of(path)
        assert SocketFile.parse(path, str(ours)) == ours
        path.unlink()
        with await listen_unix(path):
            ours.remove()
            assert path.is_socket()
            SocketFile.of(path).remove()
            assert not path.exists()
            ours.remove()


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "-1:1", "1:1:1", "one:1", "\u0661:1"])
def test_the_text_of_a_socket_is_checked(short_tmp, text):
    with pytest.raises(UsageError):
        SocketFile.parse(short_tmp / "a.sock", text)
