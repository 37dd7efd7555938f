"""The entry point: `xenwire`, and `python -m xenwire`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and give its exit status.

    `--version` and an early Ctrl-C are answered here, before anything heavy is imported.
    """
    if sys.argv[1:] == ["--version"]:
        from xenwire import __version__

        print(f"xenwire {__version__}")  # noqa: T201
        return 0
    try:
        from xenwire.cli import run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
