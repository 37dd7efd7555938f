from pathlib import Path

import pytest

from xenwire.runtime.rotation import BoundedLog
from xenwire.runtime.rotation import older as old


@pytest.fixture
def path(tmp_path):
    return tmp_path / "qemu.log"


def test_it_is_appended_to_and_is_its_owners_alone(path):
    for words in (b"one\n", b"two\n"):
        with BoundedLog(path) as log:
            log.write(words)
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not old(path).exists()


def test_a_full_one_is_begun_anew_and_one_old_one_is_kept(path):
    with BoundedLog(path, limit=10) as log:
        for words in (b"123456\n", b"abc", b"DEFGHI\n", b"xyz\n"):
            log.write(words)
            assert path.stat().st_size <= 10
        assert path.read_bytes() == b"xyz\n"
        assert old(path).read_bytes() == b"DEFGHI\n"
        assert old(path).stat().st_mode & 0o777 == 0o600


def test_a_piece_that_is_too_large_is_written_whole(path):
    with BoundedLog(path, limit=10) as log:
        log.write(b"x" * 25)
        assert path.read_bytes() == b"x" * 25
        log.write(b"y")
        assert (path.read_bytes(), old(path).read_bytes()) == (b"y", b"x" * 25)


def test_others_who_append_to_it_go_on(path):
    with path.open("ab", 0) as other, BoundedLog(path, limit=10) as log:
        other.write(b"12345678\n")
        log.write(b"abc\n")
        other.write(b"more\n")
        assert (path.read_bytes(), old(path).read_bytes()) == (b"abc\nmore\n", b"12345678\n")


def test_the_last_lines(path):
    path.write_bytes(b"words of an earlier one\n")
    with BoundedLog(path, limit=10) as log:
        assert log.tail(3) == []
        for number in range(5000):
            log.write(b"%d\n" % number)
        assert log.tail(2) == ["4998", "4999"]
        assert sum(map(len, log.tail(10_000))) < 8192


def test_a_link_is_not_followed(path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        BoundedLog(path)


def test_where_nothing_can_be_kept_it_goes_on_bounded(path, tmp_path):
    old(path).symlink_to(tmp_path / "elsewhere")
    with BoundedLog(path, limit=10) as log:
        for number in range(100):
            log.write(b"%d\n" % number)
            assert path.stat().st_size <= 10
            assert path.read_text().endswith(f"{number}\n")
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_stops_nobody():
    with BoundedLog(Path("/dev/full")) as log:
        log.write(b"words\n")
        assert log.tail(1) == ["words"]


def test_libxls_older_logs_stay(path):
    """It keeps ten, `.1` to `.10`, and moves them at each start (xen: tools/libs/light/libxl_exec.c)."""
    kept = {path.with_name(f"{path.name}.{n}"): b"start %d\n" % n for n in range(1, 11)}
    for place, words in kept.items():
        place.write_bytes(words)
    with BoundedLog(path, limit=10) as log:
        for number in range(100):
            log.write(b"%d\n" % number)
    assert {place: place.read_bytes() for place in kept} == kept
    assert {*path.parent.iterdir()} == {path, old(path), *kept}
