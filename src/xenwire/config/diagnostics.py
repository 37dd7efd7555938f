"""What is wrong with a configuration, and where: file, line, column, the line itself and a caret."""

from __future__ import annotations

import bisect
import dataclasses
import enum
import re
from dataclasses import dataclass
from typing import Final

from xenwire.errors import UsageError

__all__ = ["ConfigError", "Diagnostic", "Report", "Severity", "shown"]

MAX_DIAGNOSTICS: Final = 20
"""Of each severity, this many are kept; the others are counted."""

_EXCERPT: Final = 100
"""The characters of a longer line that are shown around the caret."""


class Severity(enum.StrEnum):
    """How bad it is."""

    ERROR = "error"
    """The configuration cannot be used."""
    WARNING = "warning"
    """The configuration can be used, but perhaps it does not mean what its author meant."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `line` and `column` count from 1, a column is a character; both are None, and
    `excerpt` is empty, for what concerns the file as a whole.

    `excerpt` is the line, or the part of it around the caret, safe to print on a terminal; `caret` is the
    index in it of the character that is meant.
    """

    severity: Severity
    file: str
    line: int | None
    column: int | None
    excerpt: str
    caret: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        lines = [f"{place}: {self.severity}: {self.message}"]
        if self.line is not None:
            lines += [f"    {self.excerpt}", f"    {' ' * self.caret}^"]
        if self.hint:
            lines.append(f"    {self.hint}")
        return "\n".join(lines)


class ConfigError(UsageError):
    """A configuration that cannot be used. The text form shows every diagnostic, warnings too."""

    def __init__(self, file: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(
            f"cannot use the configuration {file}",
            reason="\n".join(str(diagnostic) for diagnostic in diagnostics),
            diagnostics=[dataclasses.asdict(diagnostic) for diagnostic in diagnostics],
        )
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return self.reason or self.message


class Report:
    """Collects the diagnostics of one file. Places are given as byte offsets into its content.

    Beside our own words it keeps xl's: what Xen 4.17's `xl create` prints on stderr at each of them, up to
    the one at which it gives up. So findings have to be reported in the order in which xl makes them.
    """

    def __init__(self, file: str, data: bytes) -> None:
        self.file = file
        self._data = data
        self._line_starts: list[int] | None = None
        self._found: dict[Severity, list[tuple[int, Diagnostic]]] = {severity: [] for severity in Severity}
        self._left_out: dict[Severity, int] = dict.fromkeys(Severity, 0)
        self._xl_words: list[bytes] = []
        self.xl_status: int | None = None
        """The exit status of xl where it gives up (minus the signal, if it crashes), or None."""

    @property
    def xl_words(self) -> bytes:
        """What xl prints on stderr, byte for byte."""
        return b"".join(self._xl_words)

    @property
    def failed(self) -> bool:
        """Whether there is an error among the diagnostics."""
        return bool(self._found[Severity.ERROR])

    def full(self, severity: Severity) -> bool:
        """Tell whether a further diagnostic would only be counted."""
        return len(self._found[severity]) >= MAX_DIAGNOSTICS

    def error(
        self,
        offset: int | None,
        message: str,
        hint: str | None = None,
        *,
        xl: bytes = b"",
        xl_status: int | None = 1,
    ) -> None:
        """Add an error at a byte offset, or on the file as a whole. xl prints `xl` and gives up, or (None)
        does what nobody can have meant.
        """
        self._add(Severity.ERROR, offset, message, hint)
        self.xl_prints(xl, xl_status)

    def warn(
        self,
        offset: int | None,
        message: str,
        hint: str | None = None,
        *,
        xl: bytes = b"",
        xl_status: int | None = None,
    ) -> None:
        """Add a warning at a byte offset, or on the file as a whole. xl prints `xl`, and gives up if there
        is an `xl_status`: such a file is for hosts that are not xl's.
        """
        self._add(Severity.WARNING, offset, message, hint)
        self.xl_prints(xl, xl_status)

    def xl_prints(self, words: bytes, status: int | None = None) -> None:
        """Note what only xl has to say, and the status with which it ends if it does."""
        if self.xl_status is None:
            self._xl_words.append(words)
            self.xl_status = status

    def line(self, offset: int) -> int:
        """Give the number of the line of a byte offset, from 1."""
        if self._line_starts is None:
            self._line_starts = [0, *(newline.end() for newline in re.finditer(b"\n", self._data))]
        return bisect.bisect_right(self._line_starts, offset)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Give all diagnostics in the order of the file."""
        found = [placed for severity in Severity for placed in self._found[severity]]
        found.sort(key=lambda placed: placed[0])
        left_out = [
            Diagnostic(severity, self.file, None, None, "", 0, f"{count} more of this kind")
            for severity, count in self._left_out.items()
            if count
        ]
        return (*(diagnostic for _, diagnostic in found), *left_out)

    def failure(self) -> ConfigError:
        """Give the error to raise."""
        return ConfigError(self.file, self.diagnostics())

    def _add(self, severity: Severity, offset: int | None, message: str, hint: str | None) -> None:
        if self.full(severity):
            self._left_out[severity] += 1
            return
        if offset is None:
            diagnostic = Diagnostic(severity, self.file, None, None, "", 0, message, hint)
            self._found[severity].append((len(self._data), diagnostic))
            return
        line = self.line(offset)
        assert self._line_starts is not None
        start = self._line_starts[line - 1]
        end = self._line_starts[line] - 1 if line < len(self._line_starts) else len(self._data)
        column = len(_text(self._data[start:offset]))
        excerpt, caret = _excerpt(_text(self._data[start:end]), column)
        self._found[severity].append(
            (offset, Diagnostic(severity, self.file, line, column + 1, excerpt, caret, message, hint))
        )


def shown(text: bytes, limit: int = 40) -> str:
    """Give a piece of the file as it can be shown in a message: printable, and not too long."""
    characters = _printable(_text(text[: 4 * limit]))
    return characters if len(characters) <= limit else f"{characters[: limit - 1]}…"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _printable(text: str) -> str:
    """Replace what could harm or confuse a terminal (controls, bidirectional marks, broken UTF-8)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _excerpt(line: str, index: int) -> tuple[str, int]:
    """Cut a long line around an index. Give the part and the index in it."""
    start = max(0, index - _EXCERPT // 2) if len(line) > _EXCERPT else 0
    excerpt = _printable(line[start : start + _EXCERPT])
    if start + _EXCERPT < len(line):
        excerpt += "…"
    return (f"…{excerpt}", index - start + 1) if start else (excerpt, index)
