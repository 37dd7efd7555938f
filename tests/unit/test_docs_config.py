"""docs/config.md says of every key what becomes of it."""

import re
from pathlib import Path

from xenwire.config.xl.keys import KEYS
from xenwire.hosts.machine import USED_KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "config.md").read_text()
TABLE = PAGE.partition("## Keys")[2].partition("## Channels")[0]
ROWS = [line.split("|")[1] for line in TABLE.splitlines() if line.startswith("|")]


def test_every_key_has_a_row():
    named = [key for row in ROWS for key in re.findall(r"`([a-z0-9_]+)`", row)]
    assert sorted(named) == sorted(KEYS)


def test_what_a_host_without_xen_acts_on_is_marked():
    marked = {key for row in ROWS for key in re.findall(r"`([a-z0-9_]+)` \*\*Q\*\*", row)}
    assert marked == USED_KEYS
