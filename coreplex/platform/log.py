"""Logs: one JSON line per event on standard error, secrets blanked, nothing a user sent can break a line."""

import json
import logging
import math
import re
import sys
import threading
from types import TracebackType
from typing import Any

import structlog

SECRET_NAMES = re.compile(r"password|secret|token|api_key|authorization|cookie|database_url|redis_url|smtp_url", re.IGNORECASE)
SECRET_TEXT = re.compile(r"cpx_live\.[\w.-]+|(?<=://)[^/\s:@]*:\S+(?=@)")
MAX_FIELD = 4096
MAX_DEPTH = 3


def _clean(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, dict) and depth < MAX_DEPTH:
        return {str(key): _named(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple) and depth < MAX_DEPTH:
        return [_clean(item, depth + 1) for item in value]
    clean = SECRET_TEXT.sub("[hidden]", str(value))
    # Both ends: what was tried stands first, the exception itself last.
    return clean if len(clean) <= MAX_FIELD else f"{clean[: MAX_FIELD // 4]} … {clean[-MAX_FIELD * 3 // 4 :]}"


def _named(name: str, value: Any, depth: int = 0) -> Any:
    return "[hidden]" if SECRET_NAMES.search(name) else _clean(value, depth)


def redact(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Blank what names or looks like a secret, and cap what is too long. Names with `_` are structlog's own."""
    return {key: value if key.startswith("_") else _named(key, value) for key, value in event.items()}


def _line(value: dict[str, Any], **_: Any) -> str:
    """One line of plain ASCII: no control code, other line end or change of direction reaches a terminal."""
    return json.dumps(value, default=str).replace("\x7f", "\\u007f")


def configure(level: str = "info") -> None:
    """Send structlog, the standard library's loggers, warnings, and what nobody caught through the same lines."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    render = structlog.processors.JSONRenderer(serializer=_line)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    for noisy in ("dramatiq", "asyncio", "alembic", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING))
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # its warnings are what callers get as answers
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda found: _uncaught(found.exc_type, found.exc_value, found.exc_traceback, thread=found.thread)
    sys.unraisablehook = lambda found: _uncaught(found.exc_type, found.exc_value, found.exc_traceback, within=repr(found.object))


def _uncaught(kind: type[BaseException], value: BaseException | None, trace: TracebackType | None, **more: Any) -> None:
    """What Python would print as a traceback: an exception of the program, of a thread, of a destructor."""
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        structlog.get_logger().critical("uncaught_exception", exc_info=(kind, value or kind(), trace), **more)
