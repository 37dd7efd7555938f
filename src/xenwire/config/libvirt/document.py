"""An XML document that others wrote, as nodes that know their places and what of them has been read.

Document types, entities and whatever else makes XML dangerous are refused, by defusedxml.
"""

from __future__ import annotations

import re
from typing import Final
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

from defusedxml.common import DefusedXmlException
from defusedxml.sax import parseString

from xenwire.config.diagnostics import Report, Severity

__all__ = ["MAX_SIZE", "Node", "parse"]

MAX_SIZE: Final = 1 << 20
"""Bytes: a larger document is refused. The configuration of a domain has a few thousand."""
_MAX_DEPTH: Final = 64
"""How far elements may be nested. libvirt's need 10."""
_MAX_ELEMENTS: Final = 20_000
"""So many elements may there be. The configuration of a domain has a few hundred."""

_NEWLINE: Final = re.compile(rb"\r\n|\r|\n")
_HARMLESS: Final = frozenset(
    {
        *("address", "alias", "audio", "backingStore", "description", "memballoon"),
        *("metadata", "privateData", "resource", "seclabel", "title", "vmport"),
    }
)
"""Elements that change nothing for a guest on another host, wherever they are."""


_Place = tuple[int, int]
"""A line, from 1, and a column, from 0, in characters."""


class _Source:
    """The document while it is read: turns the parser's places into those of the report."""

    def __init__(self, data: bytes, report: Report) -> None:
        self.report = report
        self._data = data
        self._line_starts = [0, *(newline.end() for newline in _NEWLINE.finditer(data))]

    def offset(self, place: _Place) -> int:
        """Give the byte at a place."""
        line, column = place
        start = self._line_starts[min(line, len(self._line_starts)) - 1]
        before = self._data[start : start + 4 * column].decode("utf-8", "ignore")
        return start + len(before[:column].encode())

    def add(self, severity: Severity, place: _Place, message: str, hint: str | None) -> None:
        """Add a diagnostic. Its place is only looked for if it will be kept."""
        offset = None if self.report.full(severity) else self.offset(place)
        if severity is Severity.ERROR:
            self.report.error(offset, message, hint)
        else:
            self.report.warn(offset, message, hint)


class Node:
    """An element. What is asked for counts as read; `note_rest` tells of what is left."""

    __slots__ = ("_attributes", "_children", "_place", "_read", "_source", "_wanted", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str], place: _Place, source: _Source) -> None:
        self.name = name
        self.text = ""
        """What is written in it, without the blanks around it."""
        self._attributes = attributes
        self._children: list[Node] = []
        self._place = place
        self._source = source
        self._read = {attribute for attribute in attributes if attribute.startswith("xmlns")}
        self._wanted = False

    def append(self, child: Node) -> None:
        """Add a child."""
        self._children.append(child)

    def get(self, attribute: str, default: str = "") -> str:
        """Give an attribute."""
        self._read.add(attribute)
        return self._attributes.get(attribute, default)

    def __contains__(self, attribute: str) -> bool:
        return attribute in self._attributes

    def all(self, name: str, kind: str | None = None) -> list[Node]:
        """Give the children of a name, and of a type if there is a `kind`."""
        found = [child for child in self._children if child.name == name]
        if kind is not None:
            found = [child for child in found if child.get("type") == kind]
        for child in found:
            child._wanted = True
        return found

    def find(self, *path: str) -> Node:
        """Give the first child of a name, or its child, and so on; an empty one if there is none."""
        node = self
        for name in path:
            for child in node._children:
                if child.name == name:
                    child._wanted = True
                    node = child
                    break
            else:
                return Node("", {}, node._place, node._source)
        return node

    def __bool__(self) -> bool:
        """Tell whether there is such an element."""
        return bool(self.name)

    def content(self, name: str) -> str | None:
        """Give what is written in the child of this name."""
        child = self.find(name)
        return child.text if child else None

    def skip(self, *attributes: str) -> None:
        """Count attributes, or else all of it, as read."""
        self._read.update(attributes or self._attributes)
        if not attributes:
            self._wanted = True
            self._children.clear()

    def warn(self, message: str, hint: str | None = None) -> None:
        """Add a warning at this element."""
        self._source.add(Severity.WARNING, self._place, message, hint)

    def error(self, message: str, hint: str | None = None) -> None:
        """Add an error at this element."""
        self._source.add(Severity.ERROR, self._place, message, hint)

    def number(self, text: str, high: int, *, what: str, low: int = 0) -> int | None:
        """Read a number, decimal or with 0x, from `low` to `high`. What is none is an error, and None."""
        match = re.fullmatch(r"([+-]?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})", text)
        if match:
            digits = match[2]
            number = int(digits, 16 if digits[:2] in ("0x", "0X") else 10) * (-1 if match[1] == "-" else 1)
            if low <= number <= high:
                return number
        self.error(f"{what} of <{self.name}> is no number from {low} to {high}: {text[:40]}")
        return None

    def note_rest(self) -> None:
        """Warn of what has not been read below this element."""
        for child in self._children:
            if child.name in _HARMLESS:
                continue
            if not child._wanted:
                child.warn(f"<{child.name}> is not taken over")
                continue
            for attribute in child._attributes.keys() - child._read:
                child.warn(f"{attribute} of <{child.name}> is not taken over")
            child.note_rest()


def parse(data: bytes, report: Report) -> Node:
    """Give the root of a document. Raises the ConfigError of the report for one that is refused."""
    if len(data) > MAX_SIZE:
        report.error(None, f"more than {MAX_SIZE >> 20} MiB: this is no configuration")
        raise report.failure()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        report.error(error.start, "this is not UTF-8")
        raise report.failure() from None
    source = _Source(data, report)
    builder = _Builder(source)
    try:
        parseString(data, builder, forbid_dtd=True)
    except SAXParseException as error:
        source.add(Severity.ERROR, _place(error), f"this is no XML: {error.getMessage()}", None)
    except DefusedXmlException:
        place, hint = builder.place(), "libvirt writes none; remove <!…>"
        source.add(Severity.ERROR, place, "a document type, or an entity", hint)
    except _TooMuchError as error:
        hint = f"at most {_MAX_ELEMENTS} elements in {_MAX_DEPTH} levels are read"
        source.add(Severity.ERROR, error.place, "this is no configuration", hint)
    if report.failed:
        raise report.failure()
    return builder.root


def _place(place: Locator | SAXParseException) -> _Place:
    return place.getLineNumber() or 1, place.getColumnNumber() or 0


class _TooMuchError(Exception):
    """More elements, or more of them inside one another, than a configuration has."""

    def __init__(self, place: _Place) -> None:
        super().__init__()
        self.place = place


class _Builder(ContentHandler):
    """Makes nodes of what the parser finds."""

    def __init__(self, source: _Source) -> None:
        super().__init__()
        self.root = Node("", {}, (1, 0), source)
        self._source = source
        self._open: list[Node] = []
        self._text: list[str] = []
        self._left = _MAX_ELEMENTS
        self._locator = Locator()

    def place(self) -> _Place:
        """Tell where the parser is."""
        return _place(self._locator)

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802  # a name of SAX
        """Get to know what tells where the parser is."""
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802  # a name of SAX
        """Open a node."""
        if not self._left or len(self._open) >= _MAX_DEPTH:
            raise _TooMuchError(self.place())
        self._left -= 1
        node = Node(name, dict(attrs.items()), self.place(), self._source)
        if self._open:
            self._open[-1].append(node)
        else:
            self.root = node
        self._open.append(node)
        self._text.clear()

    def endElement(self, name: str) -> None:  # noqa: N802  # a name of SAX
        """Close a node. What has a text has no children, so the text behind its last child will do."""
        self._open.pop().text = "".join(self._text).strip()
        self._text.clear()

    def characters(self, content: str) -> None:
        """Take a part of a text."""
        self._text.append(content)
