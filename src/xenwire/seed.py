"""The host's end of a channel that seeds a guest: what cloud-init is to make of it, on its first boot.

The guest speaks first, since Linux's terminal would echo what comes before (`xenwire-seed` in
`xenwire.guestfiles`); its request waits in the channel for whoever answers:

    guest   seed 1
    host    LENGTH      in decimal, and so many bytes: a tar archive (POSIX ustar)
    guest   done

The archive has the files of cloud-init's datasource NoCloud.
"""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from xenwire.errors import TimedOut, Unreachable, UsageError

__all__ = ["MAX_SEED", "Dialogue", "hand_over", "meta_data", "pack"]

MAX_SEED: Final = 1 << 20
"""Bytes that an archive may have."""

_REQUEST: Final = b"seed 1"
_DONE: Final = b"done"
_CHUNK: Final = 4096


def meta_data(uuid: UUID, name: str) -> bytes:
    """Give the least meta-data (YAML) of a domain: its uuid is the instance, its name the host's."""
    return f"instance-id: {uuid}\nlocal-hostname: {json.dumps(name)}\n".encode()


def pack(files: Mapping[str, bytes]) -> bytes:
    """Give the archive of `files`: user-data, meta-data, and perhaps network-config and vendor-data.

    Raises UsageError if it has more than `MAX_SEED` bytes.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o600
            archive.addfile(member, io.BytesIO(data))
    seed = packed.getvalue()
    if len(seed) > MAX_SEED:
        raise UsageError(
            "the seed is too large",
            reason=f"packed, its files have {len(seed)} bytes, more than {MAX_SEED}",
            hint="have the guest fetch what is large: #include in user-data, or a command of runcmd",
        )
    return seed


class Dialogue:
    """What a guest has said. Whatever is none of the two lines, it may be anything, is passed over."""

    def __init__(self) -> None:
        self.asked = False
        """Whether it has asked for its seed."""
        self.done = False
        """Whether it has said that it has all of it."""
        self._rest = b""

    def feed(self, data: bytes) -> bool:
        """Take what came, and tell whether it asks for the seed.

        Of several requests, as they pile up while nobody answers, the last one counts.
        """
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-len(_REQUEST) - 1 :]  # longer than any line that counts
        asks = False
        for line in lines:
            if line == _REQUEST:
                asks = self.asked = True
            elif line == _DONE and self.asked and not asks:
                self.done = True
        return asks


async def hand_over(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seed: bytes, *, timeout: float
) -> None:
    """Wait until the guest asks for its seed, and give it, until the guest has said that it has it.

    A guest may ask again, but not before all of the last answer is on its way.

    Raises TimedOut, after `timeout` seconds, and Unreachable if the channel ends.
    """
    dialogue = Dialogue()
    try:
        async with asyncio.timeout(timeout):
            while not dialogue.done:
                data = await reader.read(_CHUNK)
                if not data:
                    raise _gone("the stream ended")
                if dialogue.feed(data) and not writer.transport.get_write_buffer_size():
                    writer.write(b"%d\n" % len(seed) + seed)
    except TimeoutError as error:
        raise _late(dialogue, timeout) from error
    except OSError as error:
        raise _gone(error.strerror or str(error)) from error


def _gone(reason: str) -> Unreachable:
    return Unreachable("the guest's seed channel is gone", reason=reason, hint="does the domain still run?")


def _late(dialogue: Dialogue, timeout: float) -> TimedOut:
    if dialogue.asked:
        return TimedOut(
            "the guest has not taken its seed",
            reason=f"it has asked for it, and has not said within {timeout:.3g} s that it has all of it",
            hint="in the guest, see: journalctl -u xenwire-seed",
        )
    return TimedOut(
        "the guest has not asked for its seed",
        reason=f"waited {timeout:.3g} s",
        hint="it asks on its first boot only, if xenwire-seed.service is enabled in it",
    )
