"""Logs as JSON lines, for programs that collect them."""

from __future__ import annotations

import json
import logging
import time
from typing import Final

__all__ = ["JsonFormatter", "log_json"]

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
