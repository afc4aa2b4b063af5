"""Logs: one JSON line per event on standard error, secrets blanked, nothing a user sent can break a line."""

import logging
import re
import sys
from typing import Any

import orjson
import structlog

SECRET_NAMES = re.compile(r"password|secret|token|api_key|authorization|cookie|database_url|redis_url|smtp_url", re.IGNORECASE)
SECRET_TEXT = re.compile(r"cpx_live\.[\w.-]+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
MAX_FIELD = 4096


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        clean = SECRET_TEXT.sub("[hidden]", value)
        # Both ends: what was tried stands first, the exception itself last.
        return clean if len(clean) <= MAX_FIELD else f"{clean[: MAX_FIELD // 4]} … {clean[-MAX_FIELD * 3 // 4 :]}"
    return value


def redact(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Blank what names or looks like a secret, and cap what is too long."""
    return {key: "[hidden]" if SECRET_NAMES.search(key) else _clean(value) for key, value in event.items()}


def configure(level: str = "info") -> None:
    """Send structlog and the standard library's loggers through the same lines."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    render = structlog.processors.JSONRenderer(serializer=lambda value, **_: orjson.dumps(value, default=str).decode())
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
