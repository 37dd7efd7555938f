"""The cpio writer, against a reader of the test's own and busybox's."""

import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenwire.images.cpio import Entry, archive

names = st.text("abcdefghij.-_é", min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))
entries = st.one_of(
    st.builds(Entry.folder, names),
    st.builds(Entry.file, names, st.binary(max_size=50), executable=st.booleans()),
    st.builds(Entry.link, names, names),
    st.builds(Entry.char_device, names, st.integers(0, 255), st.integers(0, 255)),
)

NAMES = (
    *("ino", "mode", "uid", "gid", "nlink", "mtime", "filesize"),
    *("devmajor", "devminor", "rdevmajor", "rdevminor", "namesize", "check"),
)


def read(data):
    """Read a newc archive: a header of 6 + 13 * 8 characters, the name, the content, each padded to 4."""
    at = 0
    while True:
        assert at % 4 == 0
        assert data[at : at + 6] == b"070701"
        fields = {
            name: int(data[at + 6 + 8 * i : at + 14 + 8 * i].decode("ascii"), 16)
            for i, name in enumerate(NAMES)
        }
        start = at + 110
        name = data[start : start + fields["namesize"]]
        assert name.endswith(b"\0")
        start += fields["namesize"] + -(110 + fields["namesize"]) % 4
        content = data[start : start + fields["filesize"]]
        assert len(content) == fields["filesize"]
        at = start + fields["filesize"] + -fields["filesize"] % 4
        if name == b"TRAILER!!!\0":
            assert at == len(data)
            return
        yield name[:-1].decode(), content, fields


@settings(max_examples=100)
@given(st.lists(entries, max_size=8))
def test_what_is_written_is_read_back(members):
    data = archive(members)
    found = list(read(data))
    assert [
        (name, fields["mode"], content, (fields["rdevmajor"], fields["rdevminor"]))
        for name, content, fields in found
    ] == [(e.path, e.mode, e.data, e.device) for e in members]
    for _, _, fields in found:
        assert fields["uid"] == fields["gid"] == fields["mtime"] == fields["check"] == 0
    inodes = [fields["ino"] for _, _, fields in found]
    assert len(set(inodes)) == len(inodes)  # else the kernel takes two members for hard links
    assert archive(members) == data


def test_modes():
    assert Entry.folder("a").mode == stat.S_IFDIR | 0o755
    assert Entry.file("a", b"").mode == stat.S_IFREG | 0o644
    assert Entry.file("a", b"", executable=True).mode == stat.S_IFREG | 0o755
    assert Entry.link("a", "b").mode == stat.S_IFLNK | 0o777
    assert Entry.char_device("dev/console", 5, 1) == Entry("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1))


def test_too_large():
    class Large(bytes):
        def __len__(self):
            return 1 << 32

    with pytest.raises(ValueError, match="vast is too large"):
        archive([Entry.file("vast", Large())])
