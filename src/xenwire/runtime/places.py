"""Where Xenwire keeps its things."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from xenwire.errors import Denied, XenwireError

__all__ = ["cache_dir", "log_dir", "run_dir", "state_dir", "store_socket"]


def run_dir() -> Path:
    """Give the folder of sockets, locks and logs, made 0700 where it is missing.

    `$XENWIRE_RUN`, else /run/xenwire for root, else `$XDG_RUNTIME_DIR/xenwire`, else a folder of the
    user's own in /tmp. Raises Denied if others own it or may write in it, or where it cannot be made.
    """
    uid = os.geteuid()
    if explicit := os.environ.get("XENWIRE_RUN"):
        path = Path(explicit).absolute()
    elif uid == 0:
        path = Path("/run/xenwire")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime) / "xenwire"
    else:
        path = Path(f"/tmp/xenwire-{uid}")  # noqa: S108  owner and mode are checked below
    _make(path, 0o700)
    found = path.lstat()
    if found.st_uid != uid or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise Denied(
            f"cannot use the run folder {path}",
            reason="it is not a folder of yours in which nobody else may write",
            hint="set XENWIRE_RUN to a folder of your own",
            path=str(path),
        )
    return path


def log_dir() -> Path:
    """Give the folder of logs, made where it is missing."""
    return _make(run_dir() / "log", 0o700)


def cache_dir() -> Path:
    """Give the folder of downloads and built images: `$XDG_CACHE_HOME/xenwire` or `~/.cache/xenwire`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return _make((Path(base) if base else Path.home() / ".cache") / "xenwire", 0o755)


def state_dir() -> Path:
    """Give the folder of what outlives a boot, made 0700 where it is missing.

    `$STATE_DIRECTORY` (systemd's), else `state` in `$XENWIRE_RUN`, else /var/lib/xenwire for root, else
    `$XDG_STATE_HOME/xenwire` or `~/.local/state/xenwire`.
    """
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given)
    if os.environ.get("XENWIRE_RUN"):
        return _make(run_dir() / "state", 0o700)
    if os.geteuid() == 0:
        return _make(Path("/var/lib/xenwire"), 0o700)
    base = os.environ.get("XDG_STATE_HOME")
    return _make((Path(base) if base else Path.home() / ".local" / "state") / "xenwire", 0o700)


def store_socket() -> Path:
    """Give the socket of the embedded store."""
    return run_dir() / "store.sock"


def _make(path: Path, mode: int) -> Path:
    try:
        path.mkdir(mode, parents=True, exist_ok=True)
    except OSError as error:
        group = Denied if isinstance(error, PermissionError) else XenwireError
        raise group(
            f"cannot make the folder {path}",
            reason=error.strerror,
            hint="set XENWIRE_RUN (sockets, logs) or XDG_CACHE_HOME (downloads) to a folder you may write",
            path=str(path),
        ) from error
    return path
