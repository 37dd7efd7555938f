"""The entry points: `xenwire`, `python -m xenwire`, and `xenwire-dm`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line and give its exit status.

    `--version` and an early Ctrl-C are answered here, before anything heavy is imported. A signal that comes
    after the status is known no longer changes it.
    """
    _open_standard_streams()
    if sys.argv[1:] == ["--version"]:
        from xenwire import __version__

        try:
            print(f"xenwire {__version__}", flush=True)  # noqa: T201
            return 0
        except OSError:
            pass  # the command line proper fails in the same way, and says so
    try:
        import signal

        from xenwire.cli import run

        status = run()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        return 130
    return status


def device_model() -> int:
    """Be the device model that libxl starts with QEMU's arguments, by `device_model_override`."""
    sys.argv[1:] = ["dm", "libxl", "--", *sys.argv[1:]]
    return main()


def _open_standard_streams() -> None:
    """Take the places of standard streams that are closed: the next file or socket opened would get them.

    Writing to a closed stdout still fails; without stderr nothing is said.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            stream = open(fd, "r" if name == "stdin" else "w", closefd=False)  # noqa: SIM115  open to the end
            setattr(sys, name, stream)


if __name__ == "__main__":
    sys.exit(main())
