"""Archives that a hostile dom0 may send, and honest ones, cut anywhere."""

import contextlib
import errno
import io
import os
import stat
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.errors import ProtocolError
from xenwire.lab.tar import Unpacker, pack


def member(name, kind=tarfile.REGTYPE, content=b"", *, link="", mode=0o644, size=None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, 1000
    info.size = len(content) if size is None else size
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


TOP = member(".", tarfile.DIRTYPE)
END = bytes(1024)


def unpack(target, *members, piece=1 << 16):
    stream = b"".join(members)
    with Unpacker(target) as unpacker:
        for start in range(0, len(stream), piece):
            unpacker.feed(stream[start : start + piece])
        assert unpacker.whole
    return unpacker.left_out


@pytest.fixture
def target(tmp_path):
    """Where to unpack. Nothing beside it may change."""
    (tmp_path / "secret").write_bytes(b"secret")
    yield tmp_path / "target"
    assert sorted(set(os.listdir(tmp_path)) - {"target"}) == ["secret"]
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert (tmp_path / "secret").stat().st_nlink == 1


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "./../x", "a/.."])
def test_paths_that_lead_out(target, name):
    for kind in (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE):
        with pytest.raises(ProtocolError, match="a path that leads out"):
            unpack(target, TOP, member(name, kind, link="y"), END)


@pytest.mark.parametrize(
    "link",
    ["/etc/passwd", "..", "../secret", "a/../../secret", "sub/up/../../secret", "a/..", ""],
)
def test_links_that_lead_out_are_left_out(target, link):
    assert unpack(target, TOP, member("l", tarfile.SYMTYPE, link=link), END) == ["l"]
    assert os.listdir(target) == []


@pytest.mark.parametrize(
    ("name", "link"), [("l", "a/b"), ("l", "."), ("d/e/l", "../../x"), ("d/l", ".././x//y")]
)
def test_links_that_stay_are_made(target, name, link):
    assert unpack(target, TOP, member(name, tarfile.SYMTYPE, link=link), END) == []
    assert os.readlink(target / name) == link


def test_nothing_is_written_through_a_link(target):
    target.mkdir()
    (target / "out").symlink_to("..")
    with pytest.raises(OSError):
        unpack(target, TOP, member("out/secret", content=b"x"), END)
    with pytest.raises(OSError):
        unpack(target, TOP, member("in", tarfile.SYMTYPE, link="."), member("in/x", content=b"x"), END)
    with pytest.raises(OSError):
        unpack(target, TOP, member("in", tarfile.SYMTYPE, link="."), member("in", tarfile.DIRTYPE), END)
    (target / "file").symlink_to("../secret")
    unpack(target, TOP, member("file", content=b"x"), END)
    assert not (target / "file").is_symlink()


def test_hard_links(target):
    target.mkdir()
    (target / "out").symlink_to("../secret")
    assert unpack(
        target,
        TOP,
        member("d/f", content=b"x"),
        member("hard", tarfile.LNKTYPE, link="./d/f"),
        member("d/up", tarfile.SYMTYPE, link="../d"),
        member("1", tarfile.LNKTYPE, link="d/up"),
        member("2", tarfile.LNKTYPE, link="../secret"),
        member("3", tarfile.LNKTYPE, link="/etc/passwd"),
        member("4", tarfile.LNKTYPE, link="missing"),
        member("5", tarfile.LNKTYPE, link="d"),
        member("6", tarfile.LNKTYPE, link="out"),
        member("hard", tarfile.LNKTYPE, link="hard"),
        END,
    ) == ["1", "2", "3", "4", "5", "6", "hard"]
    assert (target / "hard").samefile(target / "d" / "f")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_pipes_and_the_unknown_are_left_out(target, kind):
    odd = member("odd", kind)
    assert unpack(target, TOP, odd, member("f", content=b"x"), END) == ["odd"]
    assert os.listdir(target) == ["f"]


def test_modes(target):
    unpack(target, TOP, member("f", mode=0o6755), member("d", tarfile.DIRTYPE, mode=0o1500), END)
    assert stat.S_IMODE((target / "f").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o700
    assert (target / "f").stat().st_mtime == 1000


def test_modes_are_kept_whatever_the_umask(target):
    top, sub = member(".", tarfile.DIRTYPE, mode=0o1777), member("d", tarfile.DIRTYPE, mode=0o575)
    before = os.umask(0o077)
    try:
        unpack(target, top, sub, member("implied/f", mode=0o666), END)
        assert stat.S_IMODE(target.stat().st_mode) == 0o777
        assert stat.S_IMODE((target / "d").stat().st_mode) == 0o775
        assert stat.S_IMODE((target / "implied/f").stat().st_mode) == 0o666
        assert stat.S_IMODE((target / "implied").stat().st_mode) == 0o700
        unpack(target, member(".", tarfile.DIRTYPE, mode=0o700), END)
        assert stat.S_IMODE(target.stat().st_mode) == 0o777
    finally:
        os.umask(before)


@pytest.mark.parametrize("archive", [TOP + member("f", content=b"x"), member("f", content=b"x"), member("f")])
def test_a_file_whose_mode_cannot_be_set(target, monkeypatch, archive):
    def refuse(fd, mode):
        if stat.S_ISREG(os.fstat(fd).st_mode):
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)  # as on a file system without modes
    before = os.listdir("/proc/self/fd")
    with pytest.raises(PermissionError) as caught:
        unpack(target, archive, END)
    assert caught.value.filename == str(target / "f" if archive.startswith(TOP) else target)
    assert os.listdir("/proc/self/fd") == before


def test_a_place_that_cannot_be_written_is_told(target):
    (target / "d" / "f").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as caught:
        unpack(target, TOP, member("d/f", content=b"x"), END)
    assert caught.value.filename == str(target / "d" / "f")
    with pytest.raises(FileNotFoundError) as caught:
        unpack(target / "none" / "f", member("f", content=b"x"), END)
    assert caught.value.filename == str(target / "none" / "f")


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"x" * 512, "a header is wrong"),
        (TOP + b"x" * 512, "a header is wrong"),
        (TOP + member("f", size=-512), "size is negative"),
        (
            TOP + member("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=1 << 40),
            "a name of 1099511627776 bytes",
        ),
        (member("f", content=b"x") + member("g"), "a path that leads out"),
    ],
)
def test_what_is_no_archive(tmp_path, archive, reason):
    with pytest.raises(ProtocolError, match=reason):
        unpack(tmp_path / "target", archive, END)


def test_what_is_not_whole_is_not_kept(target):
    archive = TOP + member("f", content=b"x" * 600) + END
    for size in (0, 100, 512, 700, 1400):
        with Unpacker(target) as unpacker:
            unpacker.feed(archive[:size])
            assert not unpacker.whole
        assert not (target / "f").exists()
    assert unpack(target, archive + bytes(10240)) == []


def test_a_folder_does_not_become_a_file(target):
    unpack(target, TOP, member("d", tarfile.DIRTYPE), END)
    with pytest.raises(OSError):
        unpack(target, TOP, member("d", content=b"x"), END)
    with pytest.raises(OSError):
        unpack(target, member("any", content=b"x"), END)


def test_what_is_left_out_is_noted_in_little_memory(target):
    assert len(unpack(target, TOP, *(member(f"p{n}", tarfile.FIFOTYPE) for n in range(1500)), END)) == 1000


def test_times_that_no_file_can_have(target):
    for mtime in (-5, 1 << 62):
        info = tarfile.TarInfo("f")
        info.mtime = mtime
        unpack(target, TOP, info.tobuf(tarfile.GNU_FORMAT), END)


names = st.sampled_from(["a", "b", "a/b", "a/b/c", "b/c", "c", "ü" * 90, "n" * 120 + "/x"])
links = st.sampled_from(["a", "..", "../..", "a/..", "b", "../a", ".", "b/../..", "/", "../secret"])
kinds = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
)
members = st.builds(
    lambda name, kind, content, link: member(
        name, kind, content if kind == tarfile.REGTYPE else b"", link=link, mode=0o755
    ),
    names,
    kinds,
    st.binary(max_size=1200),
    links,
)


@settings(max_examples=150)
@given(st.lists(members, max_size=12), st.integers(1, 3000))
def test_no_archive_leads_out(tmp_path_factory, archive, piece):
    """Whatever it is made of, and however it is cut: all links that are there in the end stay within."""
    top = tmp_path_factory.mktemp("tar") / "target"
    with contextlib.suppress(ProtocolError, OSError):
        unpack(top, TOP, *archive, END, piece=piece)
    assert os.listdir(top.parent) == ["target"]
    real = os.path.realpath(top)
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            assert (os.path.realpath(os.path.join(folder, name)) + "/").startswith(real + "/")


def test_packing_is_what_gnu_tar_reads(tmp_path):
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "d" / ("n" * 200)).write_bytes(b"x" * 513)
    (source / os.fsdecode(b"\xff\n")).symlink_to("t" * 150)
    os.mkfifo(source / "pipe")
    left_out = []
    stream = b"".join(pack(source, "top", left_out))
    assert left_out == [str(source / "pipe")]
    assert len(stream) % 512 == 0
    subprocess.run(["tar", "-xf-", "-C", tmp_path], input=stream, check=True)
    assert (tmp_path / "top" / "d" / ("n" * 200)).read_bytes() == b"x" * 513
    assert os.readlink(tmp_path / "top" / os.fsdecode(b"\xff\n")) == "t" * 150


def test_a_file_that_shrinks_while_it_is_packed_is_filled_up(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    chunks = pack(tmp_path / "f", "f", [])
    stream = next(chunks)
    (tmp_path / "f").write_bytes(b"y" * 700)
    stream += b"".join(chunks)
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.extractfile("f").read() == b"y" * 700 + bytes(99_300)
