"""What a daemon logs: as JSON lines, for programs that collect them; in a file that cannot fill a disk."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import stat
import time
from pathlib import Path
from typing import Final

from xenwire.runtime.rotation import BoundedLog

__all__ = ["JsonFormatter", "bound_log", "log_json", "log_of_stderr"]

_USUAL: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
"""What every record has; the rest are the fields that its caller has given as `extra`."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time (UTC, ISO 8601), level, logger, message, then the fields of `extra`.

    With an exception, `exception` is its traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _USUAL | line.keys()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_json() -> None:
    """Have all that is logged be JSON from now on."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter())


def log_of_stderr() -> Path | None:
    """Give the file that stderr is, if it is one that has a name."""
    try:
        if stat.S_ISREG(os.fstat(2).st_mode):
            path = Path(os.readlink("/proc/self/fd/2"))  # noqa: PTH115  Path.readlink gives the same
            return path if os.path.samestat(path.stat(), os.fstat(2)) else None
    except OSError:
        pass
    return None


def bound_log() -> None:
    """Have what is logged go to a `BoundedLog`, if stderr is a file that is appended to: there, that is."""
    path = log_of_stderr()
    if path is None or not fcntl.fcntl(2, fcntl.F_GETFL) & os.O_APPEND:
        return
    try:
        log = BoundedLog(path)
    except OSError:  # somebody else has opened it for us
        return
    root = logging.getLogger()
    for handler in root.handlers[:]:
        bounded = _BoundedHandler(log)
        bounded.setFormatter(handler.formatter)
        bounded.setLevel(handler.level)
        root.removeHandler(handler)
        root.addHandler(bounded)


class _BoundedHandler(logging.Handler):
    def __init__(self, log: BoundedLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write(f"{self.format(record)}\n".encode(errors="backslashreplace"))
