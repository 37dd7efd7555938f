"""Virtual sound cards: each a list of texts such as `PCM, name=Main` (xen: tools/xl/xl_parse.c)."""

from __future__ import annotations

from collections.abc import Iterator

from xenwire.config.libxl.types import DeviceVsnd, VsndParams, VsndPcm, VsndStream
from xenwire.config.render.items import Unsayable, backend, dashed, pieces
from xenwire.config.render.rows import Sheet
from xenwire.config.render.text import Value

__all__ = ["vsnd"]


def vsnd(sheet: Sheet) -> Value | None:
    """Give the sound cards, but for those that xl.cfg cannot say."""
    cards: list[Value] = []
    for card in sheet.config.vsnds:
        try:
            cards.append([", ".join(part) for part in _card(card, sheet)])
        except Unsayable:
            continue
    return cards or None


def _card(card: DeviceVsnd, sheet: Sheet) -> Iterator[list[str]]:
    names = pieces(card, dashed("short_name", "long_name"), sheet.version)
    yield ["CARD", *names, *backend(card), *_params(card.params, sheet)]
    for pcm in card.pcms:
        yield from _pcm(pcm, sheet)


def _pcm(pcm: VsndPcm, sheet: Sheet) -> Iterator[list[str]]:
    yield ["PCM", *pieces(pcm, dashed("name"), sheet.version), *_params(pcm.params, sheet)]
    for stream in pcm.streams:
        yield ["STREAM", *_stream(stream, sheet)]


def _stream(stream: VsndStream, sheet: Sheet) -> Iterator[str]:
    yield from pieces(stream, dashed("unique_id", "type"), sheet.version)
    yield from _params(stream.params, sheet)


def _params(params: VsndParams, sheet: Sheet) -> Iterator[str]:
    if params.sample_rates:
        yield f"sample-rates={';'.join(map(str, params.sample_rates))}"
    if params.sample_formats:
        yield f"sample-formats={';'.join(word.json for word in params.sample_formats if word)}"
    yield from pieces(params, dashed("channels_min", "channels_max", "buffer_size"), sheet.version)
