"""The command line: a module a noun, no logic of its own. See docs/cli.md for how it behaves."""

from __future__ import annotations

import logging
import os
import sys

import click

from xenwire.cli._group import main as group
from xenwire.cli._output import report
from xenwire.errors import XenwireError

__all__ = ["run"]


def run(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit status; every error becomes a text and a status."""
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; nothing that is still buffered may complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _bug(error: Exception) -> XenwireError:
    return XenwireError(
        "xenwire has failed in a way that nobody foresaw",
        reason=f"{type(error).__name__}: {error}",
        hint="run it again with -vv, and report what it says",
    )


def _run(arguments: list[str]) -> int:
    try:
        with group.make_context("xenwire", arguments) as context:
            try:
                result = group.invoke(context)
            except XenwireError as error:
                report(error)
                return error.exit_status
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("xenwire: interrupted", err=True)
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:  # a bug of ours: the user gets three lines all the same
        logging.getLogger(__name__).debug("unexpected", exc_info=error)
        report(_bug(error))
        return 1
    return result if isinstance(result, int) else 0
