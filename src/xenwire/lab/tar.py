"""Files and folders as tar streams: packed for GNU tar, and unpacked from a tar that may be hostile.

Only the headers are Python's tarfile's. Its extraction is not used: filters that stop a hostile archive are
missing in Debian 12's Python 3.11.2, and it reads names of any length into memory.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from xenwire.errors import ProtocolError

__all__ = ["Unpacker", "pack"]

_BLOCK: Final = tarfile.BLOCKSIZE
_CHUNK: Final = 1 << 16
_MAX_NAME: Final = 1 << 14
"""Bytes of a path in an archive; Linux opens none that is longer than 4096."""
_MAX_LEFT_OUT: Final = 1000
_LAST_TIME: Final = 1 << 40
"""Seconds since 1970 that a file may be dated to."""
_LONG: Final = {tarfile.GNUTYPE_LONGNAME: "name", tarfile.GNUTYPE_LONGLINK: "linkname"}


def pack(source: Path, name: str, left_out: list[str]) -> Iterator[bytes]:
    """Give the archive of a file or a folder, under the name `name`, owned by root.

    Modes and times are kept, symbolic links stay links (but `source` itself is followed), a file with several
    names becomes several. What is neither file, folder nor link is noted in `left_out`. A file that changes
    its size meanwhile is cut, or filled with zeros. Raises OSError.
    """
    yield from _pack(source, name, left_out, follow=True)
    yield bytes(2 * _BLOCK)


def _pack(source: Path, name: str, left_out: list[str], *, follow: bool = False) -> Iterator[bytes]:
    found = source.stat() if follow else source.lstat()
    info = tarfile.TarInfo(name)
    info.uname = info.gname = "root"
    info.mode = stat.S_IMODE(found.st_mode)
    info.mtime = int(found.st_mtime)
    if stat.S_ISDIR(found.st_mode):
        info.type = tarfile.DIRTYPE
        yield _header(info)
        for child in sorted(source.iterdir()):
            yield from _pack(child, f"{name}/{child.name}", left_out)
    elif stat.S_ISLNK(found.st_mode):
        info.type = tarfile.SYMTYPE
        info.linkname = str(source.readlink())
        yield _header(info)
    elif stat.S_ISREG(found.st_mode):
        with source.open("rb", buffering=0) as file:
            info.size = found.st_size
            yield _header(info)
            yield from _content(file, info.size)
    else:
        left_out.append(str(source))


def _content(file: IO[bytes], size: int) -> Iterator[bytes]:
    left = size
    while left and (data := file.read(min(left, _CHUNK))):
        left -= len(data)
        yield data
    left += -size % _BLOCK
    while left:
        yield bytes(min(left, _CHUNK))
        left -= min(left, _CHUNK)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


class Unpacker:
    """Writes what a tar stream holds: a folder as `target`, or one file as `target`.

    The archive is GNU's, and begins with its top: the folder `.`, or the file, whose name there does not
    matter. Nothing outside of `target` is touched, whatever the archive says: no path leaves it, none leads
    through a symbolic link. Left out are links that lead out, hard links to anything but a file, devices,
    pipes, sockets.

    What is there already is kept (folders) or replaced (all else, links included). What is made has the mode
    that the archive says, whatever the umask, but for set-id and sticky bits; the owner of a folder may
    always enter and change it; times of files are kept; all belongs to the user. Used as a context manager: a
    file that has not come to its end goes with the block.
    """

    def __init__(self, target: Path) -> None:
        self.left_out: list[str] = []
        """Names in the archive; the first 1000."""
        self._target = target
        self._path = target  # of the member at hand
        self._root: int | None = None
        self._single = False
        self._buffer = bytearray()
        self._file: _File | None = None
        self._left = 0  # bytes of the member at hand
        self._padding = 0
        self._long: dict[str, str] = {}
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._file is not None:
                self._file.discard()
        finally:
            if self._root is not None:
                os.close(self._root)

    def feed(self, data: bytes) -> None:
        """Write what has come.

        Raises ProtocolError for what is no such archive, OSError with the path that cannot be written.
        """
        try:
            self._feed(data)
        except OSError as error:
            error.filename = str(self._path)  # it was only the last name, or none
            raise

    def _feed(self, data: bytes) -> None:
        self._buffer += data
        while not self._over:
            if self._left or self._padding:
                if not self._buffer:
                    return
                self._go_on()
            elif len(self._buffer) < _BLOCK or not self._member():
                return
        self._buffer.clear()  # what tar writes after the end only fills its last record

    @property
    def whole(self) -> bool:
        """Whether the archive has come to its end."""
        return self._over

    def _go_on(self) -> None:
        """Take from the buffer what belongs to the member at hand, and its padding."""
        count = min(self._left, len(self._buffer))
        if self._file is not None:
            self._file.write(self._buffer[:count])
        self._left -= count
        skipped = min(self._padding, len(self._buffer) - count)
        if not self._left:
            self._padding -= skipped
            count += skipped
            if self._file is not None:
                file, self._file = self._file, None  # it is closed, also if that fails
                file.finish()
        del self._buffer[:count]

    def _member(self) -> bool:
        """Begin the next member; False if more bytes are needed."""
        block = bytes(self._buffer[:_BLOCK])
        if not any(block):
            self._over = True
            return True
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise _malformed(f"a header is wrong: {error}") from error
        padded = info.size + -info.size % _BLOCK
        if info.size < 0:
            raise _malformed("a member's size is negative")
        if info.type in _LONG:
            if info.size > _MAX_NAME:
                raise _malformed(f"a name of {info.size} bytes")
            if len(self._buffer) < _BLOCK + padded:
                return False
            name = bytes(self._buffer[_BLOCK : _BLOCK + info.size]).partition(b"\0")[0]
            self._long[_LONG[info.type]] = os.fsdecode(name)
            del self._buffer[: _BLOCK + padded]
            return True
        del self._buffer[:_BLOCK]
        info.name = self._long.pop("name", info.name)
        info.linkname = self._long.pop("linkname", info.linkname)
        if info.isreg() or not (info.issym() or info.islnk() or info.isdir()):
            self._left, self._padding = info.size, padded - info.size
        self._begin(info)
        return True

    def _begin(self, info: tarfile.TarInfo) -> None:
        if self._root is None:
            self._begin_top(info)
            return
        parts = _parts(info.name)
        if parts is None or self._single:
            raise _malformed(f"a path that leads out: {info.name!r}")
        if not parts:
            return
        self._path = self._target.joinpath(*parts)
        folder = self._enter(parts[:-1])
        try:
            if not self._create(info, folder, parts):
                self._leave_out(info)
        finally:
            os.close(folder)

    def _begin_top(self, info: tarfile.TarInfo) -> None:
        if info.isdir():
            made = not self._target.is_dir()
            if made:
                self._target.mkdir()
            self._root = os.open(self._target, os.O_RDONLY | os.O_DIRECTORY)
            if made:
                os.fchmod(self._root, _folder_mode(info))
            return
        self._single = True
        self._root = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
        if info.isreg():
            self._open_file(info, self._root, self._target.name)
        else:
            self._leave_out(info)

    def _create(self, info: tarfile.TarInfo, folder: int, parts: list[str]) -> bool:
        """Make a member; False if it is none that is made."""
        name = parts[-1]
        if info.isreg():
            self._open_file(info, folder, name)
        elif info.isdir():
            os.close(_enter(folder, name, _folder_mode(info)))
        elif info.issym() and _stays(info.linkname, len(parts) - 1):
            _make_way(folder, name)
            os.symlink(info.linkname, name, dir_fd=folder)
        elif info.islnk():
            return self._link(info.linkname, folder, parts)
        else:
            return False
        return True

    def _open_file(self, info: tarfile.TarInfo, folder: int, name: str) -> None:
        file = _File(folder, name, info.mode & 0o777, info.mtime)
        if info.size:
            self._file = file
        else:
            file.finish()

    def _link(self, target: str, folder: int, parts: list[str]) -> bool:
        target_parts = _parts(target)
        if not target_parts or target_parts == parts:
            return False
        source = self._enter(target_parts[:-1])
        try:
            name = target_parts[-1]
            # Not a link to a symbolic link: at another depth that might lead out.
            if not stat.S_ISREG(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode):
                return False
            _make_way(folder, parts[-1])
            os.link(name, parts[-1], src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        finally:
            os.close(source)
        return True

    def _enter(self, parts: list[str]) -> int:
        """Open a folder below the top, made where it is missing."""
        assert self._root is not None
        folder = os.dup(self._root)
        for part in parts:
            outer = folder
            try:
                folder = _enter(outer, part)
            finally:
                os.close(outer)
        return folder

    def _leave_out(self, info: tarfile.TarInfo) -> None:
        if len(self.left_out) < _MAX_LEFT_OUT:
            self.left_out.append(info.name)


class _File:
    """A file being written."""

    def __init__(self, folder: int, name: str, mode: int, mtime: float) -> None:
        _make_way(folder, name)
        self._name = name
        self._mode = mode
        self._mtime = max(0, min(int(mtime), _LAST_TIME))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._folder = os.dup(folder)
        try:
            self._fd = os.open(name, flags, 0o600, dir_fd=folder)
        except BaseException:
            os.close(self._folder)
            raise

    def write(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def finish(self) -> None:
        try:
            os.fchmod(self._fd, self._mode)
            os.utime(self._fd, (self._mtime, self._mtime))
        finally:
            self._close()

    def discard(self) -> None:
        with suppress(OSError):
            os.unlink(self._name, dir_fd=self._folder)
        self._close()

    def _close(self) -> None:
        try:
            os.close(self._fd)
        finally:
            os.close(self._folder)


def _folder_mode(info: tarfile.TarInfo) -> int:
    return info.mode & 0o777 | 0o700


def _enter(folder: int, name: str, mode: int | None = None) -> int:
    """Open a folder in a folder, made where it is missing; no symbolic link is followed.

    `mode`: of one that is made; None leaves it to the umask.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        os.mkdir(name, dir_fd=folder)
        made = os.open(name, flags, dir_fd=folder)
    try:
        if mode is not None:
            os.fchmod(made, mode)
    except BaseException:
        os.close(made)
        raise
    return made


def _make_way(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _parts(path: str) -> list[str] | None:
    """Give the names in a relative path; None if it leads out."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return None if path.startswith("/") or ".." in parts or "\0" in path else parts


def _stays(target: str, depth: int) -> bool:
    """Tell whether a link in a folder `depth` folders down stays within the top, other such links included.

    It does if its `..` come first, and are not too many: a `..` after a name might be another link's parent.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    return bool(target) and not posixpath.isabs(target) and ".." not in parts[ups:] and ups <= depth


def _malformed(reason: str) -> ProtocolError:
    return ProtocolError("what came from the lab is no archive that may be unpacked", reason=reason)
