"""The root of the command line. A command's module is imported when that command runs."""

from __future__ import annotations

import importlib
import logging
from typing import Final

import click

from xenwire import __version__
from xenwire.cli._output import Manner

__all__ = ["main"]

COMMANDS: Final = {
    "demo": "demo:demo",
    "create": "domain:create",
    "list": "domain:list_domains",
    "destroy": "domain:destroy",
    "pause": "domain:pause",
    "unpause": "domain:unpause",
    "wait": "domain:wait",
    "console": "console:console",
    "channel": "channel:channel",
    "agent": "agent:agent",
    "dm": "dm:dm",
    "serve": "serve:serve",
    "guest": "guest:guest",
    "store": "store:store",
    "config": "config:config",
    "image": "image:image",
    "lab": "lab:lab",
    "doctor": "doctor:doctor",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(f"xenwire.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  xenwire demo\n  xenwire create guest.cfg && xenwire agent info guest",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no hints.")
@click.option("-v", "--verbose", count=True, help="Say more; twice for everything.")
@click.pass_obj
def main(manner: Manner, quiet: bool, verbose: int) -> None:
    """Give virtual machines their device model and their private wires to the host."""
    manner.quiet = quiet
    logging.basicConfig(
        level=[logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
