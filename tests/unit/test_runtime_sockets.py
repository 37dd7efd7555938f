import os
import socket
import stat
import threading

import pytest

from xenwire.errors import Conflict, Denied, NotFound, UsageError
from xenwire.runtime.sockets import MAX_SOCKET_PATH, listen_unix, remove_socket


def test_listens_and_lets_only_the_owner_in(short_tmp):
    path = short_tmp / "a.sock"
    with listen_unix(path) as listener, socket.socket(socket.AF_UNIX) as client:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        client.connect(str(path))
        peer, _ = listener.accept()
        peer.close()


def test_mode_is_as_asked(short_tmp):
    with listen_unix(short_tmp / "a.sock", mode=0o660):
        assert stat.S_IMODE((short_tmp / "a.sock").lstat().st_mode) == 0o660


def test_a_stale_socket_file_is_replaced(short_tmp):
    path = short_tmp / "a.sock"
    listen_unix(path).close()
    assert path.is_socket()
    with listen_unix(path) as listener:
        assert listener.getsockname() == str(path)


def test_a_live_listener_is_left_alone(short_tmp):
    path = short_tmp / "a.sock"
    with listen_unix(path, backlog=1), pytest.raises(Conflict, match="another program listens"):
        listen_unix(path)
    assert path.is_socket()


def test_a_live_listener_with_a_full_backlog_is_left_alone(short_tmp):
    path = short_tmp / "a.sock"
    clients = []
    with listen_unix(path, backlog=0):
        while True:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            clients.append(client)
            try:
                client.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(Conflict, match="another program listens"):
            listen_unix(path)
    for client in clients:
        client.close()


def test_a_file_is_never_deleted(short_tmp):
    path = short_tmp / "precious"
    path.write_text("data")
    with pytest.raises(Conflict, match="not a socket"):
        listen_unix(path)
    assert path.read_text() == "data"


def test_a_link_to_a_file_is_not_followed(short_tmp):
    (short_tmp / "precious").write_text("data")
    (short_tmp / "link").symlink_to(short_tmp / "precious")
    with pytest.raises(Conflict, match="not a socket"):
        listen_unix(short_tmp / "link")


@pytest.mark.parametrize(("length", "fits"), [(MAX_SOCKET_PATH, True), (MAX_SOCKET_PATH + 1, False)])
def test_length_of_the_path(short_tmp, length, fits):
    path = short_tmp / ("x" * (length - len(str(short_tmp)) - 1))
    if fits:
        listen_unix(path).close()
    else:
        with pytest.raises(UsageError, match=f"has {length} bytes"):
            listen_unix(path)


def test_a_missing_folder_is_named(short_tmp):
    with pytest.raises(NotFound) as caught:
        listen_unix(short_tmp / "none" / "a.sock")
    assert str(short_tmp / "none") in (caught.value.reason or "")


def test_a_folder_that_is_a_file(short_tmp):
    (short_tmp / "file").touch()
    with pytest.raises(NotFound):
        listen_unix(short_tmp / "file" / "a.sock")


def test_a_folder_one_may_not_write(short_tmp):
    short_tmp.chmod(0o755)
    locked = short_tmp / "locked"
    locked.mkdir(0o555)
    if os.geteuid() != 0:
        with pytest.raises(Denied):
            listen_unix(locked / "a.sock")
        return
    # Root may write anywhere; nobody may not.
    pid = os.fork()
    if pid == 0:
        os.setuid(65534)
        try:
            listen_unix(locked / "a.sock")
        except Denied:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_of_many_at_once_one_wins(short_tmp):
    """A stale file and eight takers: whoever finds it stale must not remove what another has bound."""
    path = short_tmp / "a.sock"
    for _ in range(20):
        listen_unix(path).close()
        won, lost = [], []

        def take(won=won, lost=lost):
            try:
                won.append(listen_unix(path))
            except Conflict:
                lost.append(1)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 7)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        won[0].close()


def test_only_our_own_socket_is_removed(short_tmp):
    path = short_tmp / "a.sock"
    with listen_unix(path):
        inode = path.lstat().st_ino
        remove_socket(path, inode + 1)
        assert path.is_socket()
        remove_socket(path, inode)
        assert not path.exists()
        remove_socket(path, inode)
