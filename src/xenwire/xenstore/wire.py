"""Xenstore's wire format: frames, operations, error names. Pure.

A frame is a 16-byte header of four native-endian u32 (type, req_id, tx_id, length) and a payload of at
most 4096 bytes (xen: xen/include/public/io/xs_wire.h).
"""

from __future__ import annotations

import enum
import errno
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from xenwire.errors import ProtocolError

__all__ = ["ERROR_NAMES", "HEADER_SIZE", "MAX_PAYLOAD", "Decoder", "Frame", "Op", "error_number", "join"]

HEADER_SIZE: Final = 16
MAX_PAYLOAD: Final = 4096
_HEADER: Final = struct.Struct("=4I")


class Op(enum.IntEnum):
    """Message types (xs_wire.h). 20 was RESTRICT, gone since 2017."""

    CONTROL = 0
    DIRECTORY = 1
    READ = 2
    GET_PERMS = 3
    WATCH = 4
    UNWATCH = 5
    TRANSACTION_START = 6
    TRANSACTION_END = 7
    INTRODUCE = 8
    RELEASE = 9
    GET_DOMAIN_PATH = 10
    WRITE = 11
    MKDIR = 12
    RM = 13
    SET_PERMS = 14
    WATCH_EVENT = 15
    ERROR = 16
    IS_DOMAIN_INTRODUCED = 17
    RESUME = 18
    SET_TARGET = 19
    RESET_WATCHES = 21
    DIRECTORY_PART = 22
    GET_FEATURE = 23
    SET_FEATURE = 24
    GET_QUOTA = 25
    SET_QUOTA = 26


ERROR_NAMES: Final[tuple[str, ...]] = (
    "EINVAL", "EACCES", "EEXIST", "EISDIR", "ENOENT", "ENOMEM", "ENOSPC", "EIO", "ENOTEMPTY", "ENOSYS",
    "EROFS", "EBUSY", "EAGAIN", "EISCONN", "E2BIG", "EPERM",
)  # fmt: skip
"""The error names that may travel, in xs_wire.h's order. A daemon sends no other."""


def error_number(name: str) -> int:
    """Give the errno of a wire error name; EINVAL for a name that is not in the list, as libxenstore does."""
    return int(getattr(errno, name)) if name in ERROR_NAMES else errno.EINVAL


class Frame(NamedTuple):
    """One message. `type` stays a plain number: a peer may send one that `Op` does not know."""

    type: int
    req_id: int
    tx_id: int
    payload: bytes

    def encode(self) -> bytes:
        """Give header and payload. Raises ValueError for a payload over 4096 bytes."""
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError(f"payload of {len(self.payload)} bytes, at most {MAX_PAYLOAD} fit")
        return _HEADER.pack(self.type, self.req_id, self.tx_id, len(self.payload)) + self.payload


def join(*strings: str | bytes) -> bytes:
    """Give the strings, each followed by one NUL: the payload of most requests."""
    return b"".join((s.encode() if isinstance(s, str) else s) + b"\0" for s in strings)


class Decoder:
    """Cuts a byte stream into frames, however the stream was split. Holds at most one partial frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def partial(self) -> bool:
        """Whether the stream stands in the middle of a frame."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that is complete with `data`; the iterator must be run to its end.

        Raises ProtocolError at a header that announces more than 4096 bytes: the stream is lost.
        """
        buffer = self._buffer
        buffer += data
        start, end = 0, len(buffer)
        try:
            while end - start >= HEADER_SIZE:
                type_, req_id, tx_id, length = _HEADER.unpack_from(buffer, start)
                if length > MAX_PAYLOAD:
                    raise ProtocolError(
                        "a xenstore message is too long",
                        reason=f"its header announces {length} bytes, at most {MAX_PAYLOAD} are allowed",
                        length=length,
                    )
                stop = start + HEADER_SIZE + length
                if stop > end:
                    break
                payload = bytes(buffer[start + HEADER_SIZE : stop])
                start = stop
                yield Frame(type_, req_id, tx_id, payload)
        finally:
            del buffer[:start]
