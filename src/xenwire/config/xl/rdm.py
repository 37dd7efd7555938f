"""The key `rdm`: reserved device memory of HVM guests (xen: tools/libs/util/libxlu_pci.c, xlu_rdm_parse).

Its manual is `strategy=host[,policy=strict|relaxed]`, but no xl up to 4.22 does that: it refuses every policy
that there is, and takes every other one. The policy that it stores then is what happens to be in its memory.
"""

from __future__ import annotations

import re
from typing import Final

from xenwire.config.diagnostics import shown
from xenwire.config.libxl.types import DomainType, RdmReserve, RdmReservePolicy, RdmReserveStrategy
from xenwire.config.xl.rows import Draft, Part

__all__ = ["read_rdm"]

_OPTION: Final = re.compile(rb"([^=]*+)=([^,]*+)(,?+)")
_POLICIES: Final = frozenset(policy.json.encode() for policy in RdmReservePolicy)


def read_rdm(draft: Draft) -> None:
    """Read the key. Nothing that is wrong with it is an error."""
    value = draft.reader.single("rdm")
    if value is None:
        return
    strategy, at, more = None, 0, b","
    while more:
        match = _OPTION.match(value.value, at)
        if match is None:
            _ignored(draft, f'"{shown(value.value[at:])}" has no =')
            return
        option, word, more = match.groups()
        at = match.end()
        if option == b"strategy" and word == b"host":
            strategy = RdmReserveStrategy.HOST
        elif option == b"strategy":
            _ignored(draft, f'no strategy "{shown(word)}"', b"Unknown RDM strategy option: %s" % word)
            return
        elif option != b"policy":
            _ignored(draft, f'no option "{shown(option)}"', b"Unknown RDM state option: %s" % option)
            return
        elif word.lower() in _POLICIES:
            _ignored(draft, "it takes no policy, though the manual has two")
            return
        else:
            draft.reader.report.xl_prints(b"Unknown RDM policy: %s" % word)
    draft.warn("rdm", "the policy of rdm is left to chance", "xl stores a number that nobody has set")
    if strategy is not None and draft.type is DomainType.HVM:
        draft.parts[Part.GUEST]["rdm"] = RdmReserve(strategy=strategy)


def _ignored(draft: Draft, why: str, xl: bytes = b"") -> None:
    draft.warn("rdm", f"xl ignores rdm: {why}", 'all that it takes is "strategy=host"', xl=xl)
