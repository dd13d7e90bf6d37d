"""The log of every process: text or JSON on standard output, with the id of the request that a line belongs to."""

import logging
import logging.handlers
import sys
from datetime import UTC, datetime

import orjson
from flask import g, has_request_context

from portal.config import Config


def request_id() -> str | None:
    """The id of the request that is being answered; None outside one."""
    return g.get("request_id") if has_request_context() else None


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return f"{line} [{found}]" if (found := request_id()) else line


class _JSON(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps({name: value for name, value in line.items() if value is not None}).decode()


def set_up(config: Config) -> None:
    """Replaces what an earlier call has set up in this process."""
    text = _Text("%(asctime)s %(levelname)s %(name)s: %(message)s")
    formatter = _JSON() if config.log_format == "json" else text
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if config.log_file:
        handlers.append(logging.handlers.RotatingFileHandler(config.log_file, maxBytes=10_000_000, backupCount=5))
    root = logging.getLogger("portal")
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(config.log_level)
    root.propagate = False
    if config.sentry_dsn:
        import sentry_sdk

        # Local variables of a failing job or view hold passwords, links and keys in clear.
        sentry_sdk.init(dsn=config.sentry_dsn, send_default_pii=False, include_local_variables=False)
