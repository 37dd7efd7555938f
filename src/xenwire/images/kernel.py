"""Taking the kernel proper out of a bzImage.

QEMU starts an uncompressed kernel by its PVH entry point (an ELF note), which spares the guest the unpacking
and the real-mode setup: 0.3 s of software emulation. Xen's domain builder takes it too.
Source: the kernel's Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

import asyncio
import lzma
import struct
from typing import Final, NamedTuple

from xenwire.errors import XenwireError
from xenwire.images.sysroot import Sysroot

__all__ = ["Payload", "payload", "uncompressed"]

_TOOLS: Final = {b"\x02\x21\x4c\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz"}
"""The first bytes of a payload, and the program that decompresses it."""

_SECTOR: Final = 512
_DEFAULT_SETUP_SECTORS: Final = 4


class Payload(NamedTuple):
    """The compressed kernel in a bzImage."""

    tool: str
    """The program that decompresses it with `-dc`: lz4, zstd or xz."""
    data: bytes
    size: int
    """Bytes of the uncompressed kernel."""


def payload(bzimage: bytes) -> Payload:
    """Find the compressed kernel. Raises XenwireError if this is no bzImage or its compression is unknown."""
    if len(bzimage) < 0x250 or bzimage[0x202:0x206] != b"HdrS":
        raise XenwireError("cannot read the kernel", reason="it is not an x86 bzImage")
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = ((bzimage[0x1F1] or _DEFAULT_SETUP_SECTORS) + 1) * _SECTOR + offset
    packed = bzimage[start : start + length]
    if len(packed) != length or length < 8:
        raise XenwireError("cannot read the kernel", reason="its payload is not whole")
    tool = next((tool for start, tool in _TOOLS.items() if packed.startswith(start)), None)
    if tool is None:
        raise XenwireError(
            "cannot read the kernel", reason=f"its compression is unknown: it starts with {packed[:4].hex()}"
        )
    # The kernel's build appends the unpacked size, which is no part of the compressed stream.
    (size,) = struct.unpack("<I", packed[-4:])
    return Payload(tool, packed[:-4], size)


async def uncompressed(bzimage: bytes, packages: Sysroot) -> bytes:
    """Give the kernel in a bzImage as an ELF file. lz4 and zstd are taken from `packages`.

    Raises XenwireError.
    """
    found = payload(bzimage)
    if found.tool == "xz":
        try:
            image = await asyncio.to_thread(lzma.decompress, found.data)
        except lzma.LZMAError as error:
            raise XenwireError("cannot read the kernel", reason=f"its payload is damaged: {error}") from error
    else:
        image = await packages.run(found.tool, "-dc", stdin=found.data)
    if len(image) != found.size or not image.startswith(b"\x7fELF"):
        raise XenwireError("cannot read the kernel", reason="its payload is not a whole ELF file")
    return image
