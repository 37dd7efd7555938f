"""Seeds: discs that tell cloud-init what to make of a guest, as its datasource NoCloud reads them.

A seed is an ISO 9660 file system with the label `cidata` and the files `user-data` and `meta-data`. Source:
cloud-init's documentation, NoCloud; ECMA-119.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

__all__ = ["nocloud_seed"]

_SECTOR: Final = 2048
_DESCRIPTOR, _END, _PATHS, _PATHS_BIG_ENDIAN, _ROOT, _FILES = range(16, 22)
"""Where each part begins, in sectors. The first 16 are the system's."""

_FOLDER: Final = 2
"""In a directory record's flags."""


def nocloud_seed(user_data: bytes, meta_data: bytes) -> bytes:
    """Give a seed, to be attached to a guest as a disk or a CD-ROM.

    `user_data` begins with `#cloud-config` or `#!`. `meta_data` is YAML with at least an `instance-id`:
    cloud-init does most of its work once for each.
    """
    return _disc("cidata", {"META-DATA": meta_data, "USER-DATA": user_data})


def _disc(label: str, files: Mapping[str, bytes]) -> bytes:
    """Give a disc with files in its root, in the order of their names. Linux shows these in lower case."""
    records = [_record(b"\0", _ROOT, _SECTOR, _FOLDER), _record(b"\1", _ROOT, _SECTOR, _FOLDER)]
    contents = b""
    for name, data in files.items():
        records.append(_record(f"{name};1".encode(), _FILES + len(contents) // _SECTOR, len(data)))
        contents += _padded(data)
    paths = struct.pack("<BBIHH", 1, 0, _ROOT, 1, 0)
    paths_big_endian = struct.pack(">BBIHH", 1, 0, _ROOT, 1, 0)
    descriptor = struct.pack(
        "<B5sBx32s32s8x8s32x4s4s4s8sIIIxxxx34s128s128s128s128s37s37s37s17s17s17s17sB",
        1,
        b"CD001",
        1,
        b" " * 32,  # of which system
        label.encode().ljust(32),
        _both(_FILES + len(contents) // _SECTOR),
        _both_short(1),  # volumes in the set
        _both_short(1),  # which of them
        _both_short(_SECTOR),
        _both(len(paths)),
        _PATHS,
        0,
        int.from_bytes(_PATHS_BIG_ENDIAN.to_bytes(4, "big"), "little"),
        records[0],
        *(b" " * 128,) * 4,
        *(b" " * 37,) * 3,
        *(b"0" * 16 + b"\0",) * 4,  # dates
        1,
    )
    end = struct.pack("<B5sB", 255, b"CD001", 1)
    parts = (bytes(16 * _SECTOR), descriptor, end, paths, paths_big_endian, b"".join(records), contents)
    return b"".join(map(_padded, parts))


def _record(name: bytes, sector: int, size: int, flags: int = 0) -> bytes:
    """Give a directory record: where a file or folder is."""
    date = bytes(7)
    volume = _both_short(1)
    fields = struct.pack("<8s8s7sBBB4sB", _both(sector), _both(size), date, flags, 0, 0, volume, len(name))
    record = fields + name + bytes((len(name) + 1) % 2)
    return struct.pack("<BB", len(record) + 2, 0) + record


def _both(number: int) -> bytes:
    """Give a number in both byte orders, as ISO 9660 wants it."""
    return struct.pack("<I", number) + struct.pack(">I", number)


def _both_short(number: int) -> bytes:
    return struct.pack("<H", number) + struct.pack(">H", number)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _SECTOR)
