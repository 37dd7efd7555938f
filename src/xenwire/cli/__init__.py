"""The command line: a module a noun, no logic of its own. See docs/cli.md for how it behaves."""

from __future__ import annotations

import errno
import logging
import re
import sys
from typing import Final

import click

from xenwire.cli._group import main as group
from xenwire.cli._output import Manner, note, report, silence, unwritable
from xenwire.errors import UsageError, XenwireError

__all__ = ["run"]

_JSON: Final = re.compile(r"(?:^|\0)(?:--json|(?:-o|--output)[=\0]?jsonl?)(?=\0|$)")
"""How JSON is asked for on a command line, its words joined by zeros."""

_HELP: Final = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click raises, since 8.2, where a noun came without a verb. Its text is the help."""

_UNWRITABLE: Final = (errno.EAGAIN, errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)
"""How printing fails; all that else could fail so has names, or has been made an error of ours."""


class _Interrupted(XenwireError):
    code = "interrupted"
    exit_status = 130


def run(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit status; every error becomes a text and a status."""
    words = sys.argv[1:] if arguments is None else arguments
    manner = Manner()
    try:
        with group.make_context("xenwire", list(words), obj=manner) as context:
            result = group.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:  # whoever read our output has gone
        silence(sys.stdout)
        return 1
    except (KeyboardInterrupt, Exception) as error:
        if isinstance(error, _HELP):
            note(str(error))
            return UsageError.exit_status
        if isinstance(error, click.UsageError) and _JSON.search("\0".join(words).partition("\0--\0")[0]):
            manner.format = "json"  # click may have stopped before it came to this option
        failure = _failure(error)
        report(failure, manner)
        return failure.exit_status
    return result if isinstance(result, int) else 0


def _failure(error: BaseException) -> XenwireError:
    """Say in our own form what ended a command."""
    match error:
        case XenwireError():
            return error
        case KeyboardInterrupt() | click.Abort():
            return _Interrupted("interrupted")
        case click.UsageError():
            return _misused(error)
        case OSError(filename=None) if error.errno in _UNWRITABLE:
            silence(sys.stdout)
            return unwritable(error)
    logging.getLogger(__name__).debug("unexpected", exc_info=error)
    return XenwireError(
        "xenwire has failed in a way that nobody foresaw",
        reason=f"{type(error).__name__}: {error}",
        hint="run it again with -vv, and report what it says",
    )


def _misused(error: click.UsageError) -> UsageError:
    command = error.ctx.command_path if error.ctx else "xenwire"
    return UsageError(f"cannot run {command}", reason=error.format_message(), hint=f"{command} --help")
