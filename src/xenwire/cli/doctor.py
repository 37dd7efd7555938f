"""What this machine can do, and what to mend."""

from __future__ import annotations

import dataclasses

import click

from xenwire.cli._output import emit, output_option
from xenwire.doctor import Health, examine
from xenwire.runtime.main import run

__all__ = ["doctor"]


@click.command(epilog="\b\nExamples:\n  xenwire doctor\n  xenwire doctor --json")
@output_option
def doctor() -> int:
    """Show what this machine can do, what each missing thing costs, and the command that mends it.

    The exit status is 1 if something is missing. What is absent only costs comfort.
    """
    findings = run(examine())
    emit(map(dataclasses.asdict, findings), ("name", "health", "found", "cost", "mend"))
    return int(any(finding.health is Health.MISSING for finding in findings))
