"""What this machine can do, and what to mend."""

from __future__ import annotations

import dataclasses

import click

from xenwire.cli._output import Manner, emit, output_option, printable
from xenwire.doctor import Finding, Health, examine
from xenwire.runtime.main import run

__all__ = ["doctor"]


@click.command(epilog="\b\nExamples:\n  xenwire doctor\n  xenwire doctor --json")
@output_option
@click.pass_context
def doctor(context: click.Context) -> int:
    """Show what this machine can do, what each missing thing costs, and the command that mends it.

    The exit status is 1 if something is missing: without it domains, the demo, the tiny guest or a lab do not
    work now. What is absent costs speed or comfort, or is needed only to build what has been built already.
    """
    findings = run(examine())
    emit(map(dataclasses.asdict, findings), ("name", "health", "found"), wide=("cost", "mend"))
    if context.ensure_object(Manner).format == "table":
        _explain([finding for finding in findings if finding.health is not Health.OK])
    return int(any(finding.health is Health.MISSING for finding in findings))


def _explain(findings: list[Finding]) -> None:
    """Print below the table what would make it too wide."""
    if findings:
        click.echo()
    for finding in findings:
        click.echo(printable(f"{finding.name}: {finding.cost}"))
        if finding.mend:
            click.echo(printable(f"  try: {finding.mend}"))
