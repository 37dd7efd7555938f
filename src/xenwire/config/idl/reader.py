"""Read an interface file such as libxl's libxl_types.idl (xen: tools/libs/light/idl.py), and run nothing."""

from __future__ import annotations

import ast
import difflib
import functools
import re
from typing import Final

from xenwire.config.diagnostics import Report, Severity
from xenwire.config.idl.arguments import CONSTANTS, Arguments, Mistake, flag, text
from xenwire.config.idl.constructors import CONSTRUCTORS, Dependent, Scope, Unknown
from xenwire.config.idl.model import Builtin, Interface, Type
from xenwire.config.idl.syntax import SHAPE, Refusal, Statement, statements

__all__ = ["MAX_SIZE", "read_idl"]

MAX_SIZE: Final = 256 * 1024
"""Bytes; libxl's own files have up to 47 KB."""

_PREDEFINED: Final = b"""
void = Builtin("void *", namespace=None)
bool = Builtin("bool", namespace=None, json_parse_type="JSON_BOOL")
size_t = Number("size_t")
integer = Number("int", signed=True)
uint8 = UInt(8)
uint16 = UInt(16)
uint32 = UInt(32)
uint64 = UInt(64)
string = Builtin("char *", namespace=None, json_parse_type="JSON_STRING | JSON_NULL",
                 check_default_fn="libxl__string_is_default")
"""
"""The types that every file can use, written in the language itself."""

_SETTINGS: Final = ("namespace", "hidden")
_RESERVED: Final = {*CONSTRUCTORS, *CONSTANTS, *_SETTINGS, "Array", "KeyedUnion"}
_MAX_NAMES: Final = 500
_MAX_NAME: Final = 40
"""With more names, or longer ones, it takes too long to find what was meant."""


def read_idl(data: bytes, source: str) -> Interface:
    """Read an interface file. `source` is its name in diagnostics.

    After a mistake the reader goes on with the next statement. A type whose variable is assigned again is
    replaced, and the new one is at the end. Raises ConfigError, with all that is wrong.
    """
    report = Report(source, data)
    if _is_text(data, report):
        reader = _Reader(data, report, dict(_predefined()))
        reader.read()
    if report.failed:
        raise report.failure()
    types = reader.assigned.values()
    return Interface(
        builtins=tuple(type_ for type_ in types if isinstance(type_, Builtin)),
        types=tuple(type_ for type_ in types if not isinstance(type_, Builtin)),
    )


@functools.cache
def _predefined() -> dict[str, Type]:
    reader = _Reader(_PREDEFINED, Report("", _PREDEFINED), {})
    reader.read()
    return reader.assigned


def _is_text(data: bytes, report: Report) -> bool:
    """Tell whether a file can be looked at word by word; if not, the report says why."""
    if len(data) > MAX_SIZE:
        report.error(None, f"the file has more than {MAX_SIZE} bytes", "an interface file is far smaller")
        return False
    if stray := re.search(rb"\0|\r(?!\n)", data):
        character = "a NUL byte" if stray[0] == b"\0" else "a carriage return without a newline"
        report.error(stray.start(), character, "this may be no text file")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        report.error(error.start, "a byte that is no UTF-8", "save the file as UTF-8")
    return not report.failed


def _argument(call: ast.Call, called: str) -> ast.expr:
    """Give the one argument of a call that takes no other."""
    given = Arguments(call, called, "value")
    if given.left:
        raise Mistake(call, f"{called} has arguments with a name")
    return given.positional[0]


class _Reader:
    """Goes through the statements of a file."""

    def __init__(self, data: bytes, report: Report, types: dict[str, Type]) -> None:
        self._data = data
        self._report = report
        self._scope = Scope(types)
        self.assigned: dict[str, Type] = {}
        """The types by their variables, in the order of the last assignments."""

    def read(self) -> None:
        for statement in statements(self._data):
            try:
                for node in statement.parse():
                    self._statement(node)
            except (Refusal, Mistake, Dependent) as error:
                self._lose(statement)
                match error:
                    case Refusal():
                        self._report.error(error.offset, error.message, error.hint)
                    case Mistake():
                        meant = self._meant(error, statement) if isinstance(error, Unknown) else None
                        self._report.error(statement.offset(error.node), error.message, meant or error.hint)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(ast.Call(ast.Name("namespace")) as call):
                self._scope.namespace = text(_argument(call, "namespace"))
            case ast.Expr(ast.Call(ast.Name("hidden")) as call):
                self._scope.hidden = flag(_argument(call, "hidden"))
            case ast.Assign([ast.Name(variable)], ast.Call() as call):
                if variable in _RESERVED:
                    raise Mistake(node, f"{variable} belongs to the language", "take another name")
                type_ = self._scope.define(variable, call)
                self.assigned.pop(variable, None)
                self.assigned[variable] = type_
            case _:
                raise Mistake(node, "this is no statement of an interface", SHAPE)

    def _lose(self, statement: Statement) -> None:
        """Remember what a wrong statement was to define: whatever needs it is not wrong for that."""
        name = re.match(rb"\s*(?:(?:def|class|import)\s+)?([A-Za-z_]\w*)", statement.text)
        if name:
            self._scope.lose(name[1].decode())

    def _meant(self, error: Unknown, statement: Statement) -> str | None:
        """Say what to do about an unknown name."""
        name = error.name
        if self._report.full(Severity.ERROR) or len(name) > _MAX_NAME:
            return None
        later = re.compile(rb"^%s[ \t]*=" % name.encode(), re.MULTILINE).search(
            self._data, statement.start + 1
        )
        if later:
            return f"it is defined only in line {self._report.line(later.start())}; move that up"
        known = [*CONSTRUCTORS, *self._scope.types]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.7) if len(known) <= _MAX_NAMES else []
        return f"did you mean {close[0]}?" if close else None
