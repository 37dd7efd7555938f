"""The arguments of a call in an interface file, each read as what it has to be. Pure."""

from __future__ import annotations

import ast
import re
from typing import Final, TypeVar

from xenwire.config.diagnostics import shown
from xenwire.config.idl.model import Direction, PassBy

__all__ = [
    "CONSTANTS",
    "Arguments",
    "Keywords",
    "Mistake",
    "flag",
    "integer",
    "items",
    "text",
    "unexpected",
    "word",
]

CONSTANTS: Final[dict[str, Direction | PassBy]] = {
    **{f"DIR_{direction.name}": direction for direction in Direction},
    **{f"PASS_BY_{passby.name}": passby for passby in PassBy},
}
"""The names that stand for values."""

_KINDS: Final[dict[type[ast.AST], str]] = {
    ast.Dict: "a dictionary",
    ast.List: "a list",
    ast.NamedExpr: "an assignment",
    ast.Set: "a set",
    ast.Subscript: "an index",
    ast.Tuple: "a tuple",
    ast.UnaryOp: "a minus sign",
}
_MAX_BITS: Final = 64

Choice = TypeVar("Choice", Direction, PassBy)
Node = ast.stmt | ast.expr | ast.keyword


class Mistake(Exception):
    """What is wrong with a part of a statement."""

    def __init__(self, node: Node, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.node = node
        self.message = message
        self.hint = hint


class Keywords:
    """Arguments or options that have names. Asking for one raises Mistake if it holds something else."""

    def __init__(self, nodes: dict[str, ast.expr]) -> None:
        self.left = nodes
        """Those that nobody has asked for yet."""

    def text(self, keyword: str, default: str | None = None) -> str | None:
        """Give a text or None."""
        node = self.left.pop(keyword, None)
        if node is None:
            return default
        return None if isinstance(node, ast.Constant) and node.value is None else text(node)

    def default(self, keyword: str) -> str | int | None:
        """Give a text, a number or None."""
        node = self.left.get(keyword)
        if isinstance(node, ast.UnaryOp) or (isinstance(node, ast.Constant) and type(node.value) is int):
            return integer(self.left.pop(keyword))
        return self.text(keyword)

    def flag(self, keyword: str, default: bool) -> bool:
        """Give True or False."""
        node = self.left.pop(keyword, None)
        return default if node is None else flag(node)

    def choice(self, keyword: str, default: Choice) -> Choice:
        """Give one of the values that have names."""
        node = self.left.pop(keyword, None)
        if node is None:
            return default
        value = CONSTANTS.get(node.id) if isinstance(node, ast.Name) else None
        if not isinstance(value, type(default)):
            names = [name for name, constant in CONSTANTS.items() if isinstance(constant, type(default))]
            raise unexpected(node, f"one of {', '.join(names)}")
        return value


class Arguments(Keywords):
    """The arguments of a call: `positional` ones, as many as there have to be, and those with names."""

    def __init__(self, call: ast.Call, called: str, *positional: str) -> None:
        if len(call.args) != len(positional):
            raise Mistake(
                call,
                f"{called} has {len(call.args)} arguments without a name",
                f"it takes {called}({', '.join(positional)})",
            )
        self.positional = call.args
        nodes: dict[str, ast.expr] = {}
        for keyword in call.keywords:
            assert keyword.arg is not None  # only ** has none, which is no word of the language
            if keyword.arg in nodes:
                raise Mistake(keyword, f"{shown(keyword.arg.encode())} is given twice")
            nodes[keyword.arg] = keyword.value
        super().__init__(nodes)


def unexpected(node: ast.expr, wanted: str, hint: str | None = None) -> Mistake:
    """Give the mistake of a node that stands where something else has to be."""
    return Mistake(node, f"expected {wanted}, found {_found(node)}", hint)


def _found(node: ast.expr) -> str:
    match node:
        case ast.Constant(str() as value):
            return f'the text "{_shown(value)}"'
        case ast.Constant(bool() | None as value):
            return str(value)
        case ast.Constant(int() as value):
            return f"the number {value}"
        case ast.Name(name):
            return f"the name {_shown(name)}"
        case ast.Call(ast.Name(name)):
            return f"a call of {_shown(name)}"
        case _:
            return _KINDS.get(type(node), "something else")


def _shown(value: str) -> str:
    return shown(value.encode(errors="replace"))


def text(node: ast.expr) -> str:
    """Read a text that can be printed."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        raise unexpected(node, "a text")
    if not node.value.isprintable():
        raise Mistake(node, "a text with characters that cannot be printed")
    return node.value


def word(node: ast.expr, wanted: str) -> str:
    """Read a text that can be a part of a name in C."""
    value = text(node)
    if not re.fullmatch(r"\w+", value, re.ASCII):
        raise unexpected(node, f"{wanted} of letters, digits and _")
    return value


def flag(node: ast.expr) -> bool:
    """Read True or False."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, bool):
        raise unexpected(node, "True or False")
    return node.value


def integer(node: ast.expr) -> int:
    """Read a number of at most 64 bits, perhaps negative."""
    match node:
        case ast.UnaryOp(ast.USub(), ast.Constant(int() as value)) if not isinstance(value, bool):
            number = -value
        case ast.Constant(int() as value) if not isinstance(value, bool):
            number = value
        case _:
            raise unexpected(node, "a number")
    if not -(1 << _MAX_BITS - 1) <= number < 1 << _MAX_BITS:
        raise Mistake(node, f"a number of more than {_MAX_BITS} bits")
    return number


def items(node: ast.expr, wanted: str) -> list[ast.expr]:
    """Read a list, which may be written as a tuple too."""
    if not isinstance(node, (ast.List, ast.Tuple)):
        raise unexpected(node, wanted)
    return node.elts
