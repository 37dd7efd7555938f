"""Which mirrors to fetch a release of Debian from: those that the system fetches its own from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["FORMAT", "found", "sources"]

FORMAT: Final = "$(ORIGIN) $(COMPONENT) $(RELEASE) $(REPO_URI)"
"""What `apt-get indextargets --format` is to print for `found`. An unknown origin stays as it is here."""

_PUBLIC: Final = {
    "": "http://deb.debian.org/debian",
    "-updates": "http://deb.debian.org/debian",
    "-security": "http://deb.debian.org/debian-security",
}
"""Debian's own mirrors. A suite is a release's code name, and for what came later one of these endings."""


def found(targets: str) -> dict[str, str]:
    """Find Debian's mirrors, by ending of their suites, among the index targets of apt's sources.

    What calls itself otherwise is no mirror of Debian: some vendor's `bookworm main`, Ubuntu.
    """
    mirrors: dict[str, str] = {}
    for line in targets.splitlines():
        match line.split(" ", 3):
            case ["Debian", "main", suite, uri]:
                _, dash, ending = suite.partition("-")
                if dash + ending in _PUBLIC:
                    mirrors.setdefault(dash + ending, uri)
    return mirrors


def sources(release: str, mirrors: Mapping[str, str], keyring: Path | None = None) -> str:
    """Give the lines of a sources.list for a release, verified with a keyring or else those that apt trusts.

    They name the mirrors given, or Debian's public ones if these have no release proper.
    """
    used = mirrors if "" in mirrors else _PUBLIC
    options = f" [signed-by={keyring}]" if keyring else ""
    return "".join(f"deb{options} {uri} {release}{ending} main\n" for ending, uri in used.items())
