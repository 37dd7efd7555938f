"""Configurations as YAML: the data of libxl's JSON, for people to read. Pure.

Texts that some reader of YAML would take for something else (`yes`, `1e3`, `12:30:00`) are quoted. A text
that is not UTF-8 becomes `!!binary`, its bytes in base64.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

__all__ = ["to_yaml"]

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"})
"""What YAML 1.1 or 1.2 has for booleans and null."""


def to_yaml(data: Any) -> bytes:
    """Give data of JSON (`json_writer.to_data`) as YAML, in the order of its keys."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text.encode()


class _Dumper(yaml.SafeDumper):
    """A dumper that writes out what occurs twice, and quotes with care."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    try:
        value.encode()
    except UnicodeEncodeError:
        return dumper.represent_binary(value.encode("utf-8", "surrogateescape"))
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)
