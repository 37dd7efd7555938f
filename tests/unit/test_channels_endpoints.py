import os
import stat

import pytest

from xenwire.channels.endpoints.log import open_log
from xenwire.errors import NotFound, XenwireError


def test_a_log_is_appended_to(tmp_path):
    path = tmp_path / "guest.log"
    for text in (b"one\n", b"two\n"):
        fd = open_log(path)
        os.write(fd, text)
        os.close(fd)
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(XenwireError, match="cannot write the log"):
        open_log(tmp_path / "log")
    assert (tmp_path / "target").read_text() == "precious"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(NotFound) as caught:
        open_log(tmp_path / "none" / "guest.log")
    assert str(tmp_path / "none") in (caught.value.reason or "")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_without_hanging(tmp_path, make):
    make(tmp_path / "log")
    with pytest.raises(XenwireError, match="cannot write the log"):
        open_log(tmp_path / "log")


def test_a_fifo_with_a_reader_is_refused_too(tmp_path):
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(XenwireError, match="not a regular file"):
        open_log(tmp_path / "log")
    os.close(reader)
