"""Finding the compressed kernel in a bzImage."""

import lzma
import struct

import pytest

from xenwire.errors import XenwireError
from xenwire.images.kernel import payload, uncompressed

LZ4 = b"\x02\x21\x4c\x18"
ZSTD = b"\x28\xb5\x2f\xfd"
XZ = b"\xfd7zXZ\0"


def bzimage(packed, *, setup_sectors=3, length=None, offset=32):
    """Make a bzImage as far as the boot protocol describes it."""
    header = bytearray(((setup_sectors or 4) + 1) * 512)
    header[0x1F1] = setup_sectors
    header[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", header, 0x248, offset, len(packed) if length is None else length)
    return bytes(header) + bytes(offset) + packed + b"what follows"


@pytest.mark.parametrize("setup_sectors", [0, 3, 39])
@pytest.mark.parametrize(("magic", "tool"), [(LZ4, "lz4"), (ZSTD, "zstd"), (XZ, "xz")])
def test_payload(magic, tool, setup_sectors):
    packed = magic + b"compressed" + struct.pack("<I", 53243444)
    found = payload(bzimage(packed, setup_sectors=setup_sectors))
    assert found == (tool, magic + b"compressed", 53243444)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an x86 bzImage"),
        (b"\x7fELF" + bytes(4096), "not an x86 bzImage"),
        (bzimage(LZ4 + bytes(8))[:0x24F], "not an x86 bzImage"),
        (bzimage(LZ4 + bytes(8), length=4096), "not whole"),
        (bzimage(LZ4 + bytes(8), length=4), "not whole"),
        (bzimage(b"\x1f\x8b\x08\x00" + bytes(8)), "starts with 1f8b0800"),
    ],
)
def test_what_it_cannot_read(data, reason):
    with pytest.raises(XenwireError, match="cannot read the kernel") as caught:
        payload(data)
    assert reason in caught.value.reason


async def test_uncompressed():
    kernel = b"\x7fELF" + bytes(100_000)
    packed = lzma.compress(kernel, lzma.FORMAT_XZ, lzma.CHECK_CRC32)
    assert await uncompressed(bzimage(packed + struct.pack("<I", len(kernel))), None) == kernel


@pytest.mark.parametrize(
    ("packed", "size", "reason"),
    [
        (lzma.compress(b"\x7fELF"), 5, "not a whole ELF file"),
        (lzma.compress(b"MZ.."), 4, "not a whole ELF file"),
        (XZ + b"nonsense", 4, "its payload is damaged"),
    ],
)
async def test_damaged(packed, size, reason):
    with pytest.raises(XenwireError, match="cannot read the kernel") as caught:
        await uncompressed(bzimage(packed + struct.pack("<I", size)), None)
    assert reason in caught.value.reason
