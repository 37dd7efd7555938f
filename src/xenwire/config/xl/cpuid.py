"""`cpuid`: what a guest is told of its processor (xen: tools/xl/xl_parse.c, tools/libs/light/libxl_cpuid.c).

A text is `host` and then `flag=value`s. A list has an item for each leaf of CPUID, with the bits of its
registers. No mistake is fatal: xl says so and goes on.
"""

from __future__ import annotations

import re
from typing import Final

from xenwire.config.diagnostics import Report, Severity, shown
from xenwire.config.libxl.cpuid import CpuidLeaf, CpuidMsr, CpuidPolicies
from xenwire.config.numbers import uint32
from xenwire.config.parser import Text
from xenwire.config.xl.cpuid_flags import CpuidFlag, cpuid_flags
from xenwire.config.xl.devices.pieces import Item, strtoul
from xenwire.config.xl.reader import Reader, decoded

__all__ = ["read_cpuid"]

_UNUSED: Final = 2**32 - 1
"""As a leaf it ends libxl's list; as a subleaf it stands for none."""
_LONGEST_NAME: Final = 40
"""The bytes of an unknown name for which a similar one is looked for."""
_POLICY: Final = re.compile(rb"[ -~]{32}")

_VALUE_HINT: Final = "write a number, x (default), k (the host's) or s (the host's, kept over migration)"
_LEAF_HINT: Final = "write LEAF[,SUBLEAF]:eax=… with 32 characters 0, 1, x, k or s for each register"
_FLAG_ERRORS: Final = {
    1: b'missing "=" in key=value',
    2: b"unknown CPUID flag name",
    3: b"illegal CPUID value (must be: [0|1|x|k|s])",
}
_LINE_ERRORS: Final = {
    1: b"illegal leaf number",
    2: b"illegal subleaf number",
    3: b"missing colon",
    4: b"invalid register name (must be e[abcd]x)",
    5: b"policy string must be exactly 32 characters long",
}


class _Draft:
    """Policies while they are read: leaves and registers stay in the order of their first use, although
    their first use may be a mistake.
    """

    def __init__(self) -> None:
        self._leaves: dict[tuple[int, int | None], dict[str, str]] = {}
        self._msrs: dict[int, str] = {}

    def policies(self) -> CpuidPolicies:
        """Give what was read."""
        return CpuidPolicies(
            leaves=tuple(
                CpuidLeaf(leaf=leaf, subleaf=subleaf, **registers)
                for (leaf, subleaf), registers in self._leaves.items()
                if leaf != _UNUSED
            ),
            msrs=tuple(CpuidMsr(index=index, policy=policy) for index, policy in self._msrs.items()),
        )

    def leaf(self, leaf: int, subleaf: int | None) -> dict[str, str]:
        """Give the registers of a leaf, by name."""
        return self._leaves.setdefault((leaf, subleaf), {})

    def set_flag(self, flag: CpuidFlag, value: str | None) -> None:
        """Set the bits of a flag, given from the highest on. Without a value, only use its leaf."""
        if flag.register == "msr":
            policy = self._msrs.setdefault(flag.leaf, "x" * 64)
            if value is not None:
                self._msrs[flag.leaf] = _with_bits(policy, flag, value)
        else:
            registers = self.leaf(flag.leaf, flag.subleaf)
            if value is not None:
                policy = registers.get(flag.register, "x" * 32)
                registers[flag.register] = _with_bits(policy, flag, value)


def read_cpuid(reader: Reader) -> CpuidPolicies:
    """Read the policies. Settings of the same leaf are merged; of the same bit, the last one counts."""
    draft = _Draft()
    value = reader.value("cpuid")
    if isinstance(value, Text):
        _read_flags(reader.report, Item(value, reader.report), draft)
    else:
        for text in reader.texts("cpuid") or ():
            _read_line(Item(text, reader.report), draft)
    return draft.policies()


def _with_bits(policy: str, flag: CpuidFlag, value: str) -> str:
    bits = list(policy)
    for place, bit in zip(flag.bits, reversed(value), strict=True):
        bits[-1 - place] = bit
    return "".join(bits)


def _read_flags(report: Report, item: Item, draft: _Draft) -> None:
    """Read a text of flags."""
    first = True
    end = -1
    for piece in item.value.split(b","):
        start, end = end + 1, end + 1 + len(piece)
        if not piece:
            continue
        if not first:
            _read_flag(report, item, piece, start, draft)
        elif piece != b"host":
            item.warn(
                start,
                f"the first word is not host: {shown(piece)}",
                "xl ignores all of it",
                xl=b'while parsing CPUID string: "%s":\n  error: first word must be "host"\n' % item.value,
            )
            return
        first = False


def _read_flag(report: Report, item: Item, piece: bytes, at: int, draft: _Draft) -> None:
    name, equals, value = piece.partition(b"=")
    flag = cpuid_flags().get(name)
    if not equals:
        _bad_flag(item, piece, at, 1, f"not a flag=value: {shown(piece)}", "write for example avx=0")
    elif flag is None:
        _bad_flag(item, piece, at, 2, f"unknown flag of CPUID: {shown(name)}", _near(report, name))
    else:
        bits, exact = _msr_bits(value) if flag.register == "msr" else _bits(name, flag, value)
        draft.set_flag(flag, bits)
        if bits is None:
            _bad_flag(item, piece, at, 3, f"not a value for {shown(name)}: {shown(value)}", _VALUE_HINT)
        elif not exact:
            item.warn(at, f"xl makes {bits} of {shown(piece)}", f"{shown(name)} has {len(bits)} bits")


def _bits(name: bytes, flag: CpuidFlag, value: bytes) -> tuple[str | None, bool]:
    """Give the bits of a flag from the highest on, and whether they are just what the value says."""
    width = len(flag.bits)
    number, length = strtoul(value, 0)
    if not length:
        letter = value[:1].decode("latin-1")
        if letter not in ("x", "k", "s"):
            return None, False
        if name == b"family":
            return "0" * 8 + letter * 4, False
        return letter * width, len(value) == 1
    if name == b"family":
        bits = _family(number)
        exact = int(bits[:8], 2) + int(bits[8:], 2) == number
    else:
        bits = f"{number:0{width}b}"[-width:]
        exact = int(bits, 2) == number
    return bits, exact and length == len(value)


def _family(number: int) -> str:
    """Give the bits of a family: 4 for up to 15, before them 8 to be added to 15.

    xl subtracts 15 from all but the highest of these 8.
    """
    if number < 16:
        return f"{number:012b}"
    return f"{number >> 7 & 1}{number - 15 & 127:07b}1111"


def _msr_bits(value: bytes) -> tuple[str | None, bool]:
    """Give the bit of a model-specific register, for which s is the same as k."""
    if value in (b"0", b"1", b"x", b"k", b"s"):
        return value.decode().replace("s", "k"), True
    return None, False


def _near(report: Report, name: bytes) -> str | None:
    """Give a hint at the flag that was perhaps meant; none if nobody will read it."""
    if report.full(Severity.WARNING):
        return None
    import difflib  # slow to load, and only needed where something is wrong

    names = [flag.decode() for flag in cpuid_flags()]
    near = difflib.get_close_matches(decoded(name[:_LONGEST_NAME].lower()), names, n=1)
    return f"did you mean {near[0]}?" if near else None


def _bad_flag(item: Item, piece: bytes, at: int, error: int, message: str, hint: str | None) -> None:
    words = b'while parsing CPUID flag: "%s":\n  error #%d: %s\n' % (piece, error, _FLAG_ERRORS[error])
    item.warn(at, message, hint, xl=words)


def _read_line(item: Item, draft: _Draft) -> None:
    """Read an item of a list: a leaf and its registers."""
    text = item.value
    leaf, at = strtoul(text, 0)
    if not at:
        _bad_line(item, 0, 1)
        return
    subleaf = None
    if text[at : at + 1] == b",":
        subleaf, length = strtoul(text[at + 1 :], 0)
        if not length:
            _bad_line(item, at + 1, 2)
            return
        at += 1 + length
    if text[at : at + 1] != b":":
        _bad_line(item, at, 3)
        return
    leaf = uint32(leaf)
    if leaf == _UNUSED:
        item.warn(0, f"xl drops the leaf {leaf:#x}")
    if subleaf is not None:
        subleaf = None if uint32(subleaf) == _UNUSED else uint32(subleaf)
    _read_registers(item, at + 1, draft.leaf(leaf, subleaf))


def _read_registers(item: Item, at: int, registers: dict[str, str]) -> None:
    """Read `e?x=` and the bits of registers, between commas, from `at` on."""
    text = item.value
    while at < len(text):
        name = text[at : at + 3]
        equals = text.find(b"=", at)
        if name not in (b"eax", b"ebx", b"ecx", b"edx") or equals < 0:
            _bad_line(item, at, 4)
            return
        comma = text.find(b",", equals)
        end = comma if comma >= 0 else len(text)
        policy = text[equals + 1 : end]
        if len(policy) != 32:
            _bad_line(item, equals + 1, 5)
            return
        if _POLICY.fullmatch(policy):
            registers[name.decode()] = policy.decode()
        else:
            item.warn(equals + 1, f"the bits of {name.decode()} are no ASCII, ignored", "xl takes them")
        at = end + 1
        while text[at : at + 1] in (b" ", b"\n"):
            at += 1


def _bad_line(item: Item, at: int, error: int) -> None:
    words = b'while parsing CPUID line: "%s":\n  error #%d: %s\n' % (item.value, error, _LINE_ERRORS[error])
    item.warn(min(at, len(item.value)), _LINE_ERRORS[error].decode(), _LEAF_HINT, xl=words)
