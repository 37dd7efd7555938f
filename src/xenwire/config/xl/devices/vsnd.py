"""Virtual sound cards (xen: tools/xl/xl_parse.c, public/io/sndif.h).

Each item of the list is a list itself, of texts such as `PCM, name=Main`: a word that says what the text is
about, then parameters. A PCM device belongs to the card, a stream to the last PCM device before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from xenwire.config.diagnostics import Severity, shown
from xenwire.config.libxl.types import (
    DeviceVsnd,
    VsndParams,
    VsndPcm,
    VsndPcmFormat,
    VsndStream,
    VsndStreamType,
)
from xenwire.config.parser import Items, Value
from xenwire.config.xl.devices.pieces import Item, Piece, member
from xenwire.config.xl.reader import Reader, decoded

__all__ = ["read_vsnds"]

_PARAMS: Final = ("sample-rates", "sample-formats", "channels-min", "channels-max", "buffer-size")
_CARD: Final = ("backend", "short-name", "long-name", *_PARAMS)
_PCM: Final = ("name", *_PARAMS)
_STREAM: Final = ("unique-id", "type", *_PARAMS)
_FORMATS: Final = tuple(kind.json for kind in VsndPcmFormat)


@dataclass(slots=True)
class _Part:
    """What is said of a card, a PCM device or a stream, with the parts that belong to it."""

    fields: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    parts: list[_Part] = field(default_factory=list)

    def values(self) -> dict[str, Any]:
        return {**self.fields, "params": VsndParams(**self.params)}


def read_vsnds(reader: Reader) -> tuple[DeviceVsnd, ...]:
    """Read the key `vsnd`: the cards are numbered by their places in the list."""
    cards = reader.items("vsnd") or ()
    return tuple(_card(reader, devid, card) for devid, card in enumerate(cards))


def _card(reader: Reader, devid: int, value: Value) -> DeviceVsnd:
    card = _Part()
    if isinstance(value, Items):
        for text in value.items:
            if isinstance(text, Items):
                reader.report.warn(
                    text.start,
                    "a sound card wants texts, but this item is a list",
                    "xl overlooks it and all items after it",
                )
                break
            _read_text(Item(text, reader.report), card)
    else:
        reader.report.error(
            value.start,
            "a sound card is a list of texts, but this is a text",
            "write vsnd=[ [ 'CARD, short-name=…', 'PCM, …', 'STREAM, …' ] ]",
            xl=b"%s:%d:0: warning: value is not a list\n"
            b"Failed to get vsnd card list: Invalid argument\n"
            % (reader.source, reader.report.line(value.start)),
        )
    pcms = tuple(
        VsndPcm(**pcm.values(), streams=tuple(VsndStream(**stream.values()) for stream in pcm.parts))
        for pcm in card.parts
    )
    return DeviceVsnd(devid=devid, pcms=pcms, **card.values())


def _read_text(item: Item, card: _Part) -> None:
    """Read one text of a card."""
    keys: tuple[str, ...]
    pieces = item.pieces()
    word = next(pieces, None)
    if word is None:
        item.warn(0, "an empty text of a sound card, ignored", "write CARD, PCM or STREAM first")
        return
    match word.text.lower():
        case b"card":
            part, keys = card, _CARD
        case b"pcm":
            part, keys = _Part(), _PCM
            card.parts.append(part)
        case b"stream":
            if not card.parts:
                card.parts.append(_Part())
            part, keys = _Part(), _STREAM
            card.parts[-1].parts.append(part)
        case _:
            item.error(
                word.at,
                f"not a part of a sound card: {shown(word.text)}",
                "write CARD, PCM or STREAM, and a comma right after it",
                xl=b"Invalid key: %s\n" % word.text,
            )
            return
    seen: set[bytes] = set()
    for piece in pieces:
        if piece.given and decoded(piece.key) in keys:
            item.note_repeated(piece, seen)
            _read_parameter(piece, part)
        else:
            item.refuse(piece, keys, xl=b"Invalid parameter: %s\n" % piece.text)


def _read_parameter(piece: Piece, part: _Part) -> None:
    key = piece.key.decode()
    name = key.replace("-", "_")
    match key:
        case "sample-rates":
            rates = (piece._replace(text=rate, value=rate) for rate in _several(piece))
            part.params[name] = tuple(rate.unsigned() for rate in rates)
        case "sample-formats":
            part.params[name] = tuple(_format(piece, word) for word in _several(piece))
        case "channels-min" | "channels-max" | "buffer-size":
            part.params[name] = piece.unsigned()
        case "backend":
            part.fields["backend_domname"] = piece.string
        case "type":
            kind = member(VsndStreamType, piece.value)
            if kind is None:
                piece.item.error(
                    piece.value_at,
                    f"unknown type of stream: {shown(piece.value)}",
                    "write p (playback) or c (capture)",
                    xl=b"Invalid stream type: %s\n" % piece.value,
                )
            part.fields["type"] = kind
        case _:
            part.fields[name] = piece.string


def _several(piece: Piece) -> list[bytes]:
    """Split a value at semicolons. Without any word between them xl crashes."""
    words = [word for word in piece.value.split(b";") if word]
    if not words:
        piece.item.error(piece.value_at, f"{shown(piece.key)} without a value", xl_status=-11)
    return words


def _format(piece: Piece, word: bytes) -> VsndPcmFormat:
    kind = member(VsndPcmFormat, word)
    if kind is None:
        piece.item.error(
            piece.value_at,
            f"unknown sample format: {shown(word)}",
            piece.item.suggestion(Severity.ERROR, word, _FORMATS),
            xl=b"Invalid pcm format: %s\n" % word,
        )
        return VsndPcmFormat.S16_LE
    return kind
