"""Structured logs: JSON lines with order, saga, step and task ids; readable lines in a terminal."""

from __future__ import annotations

import logging.config
import sys
from typing import Any

import structlog

from celery_config.common.codec import encode_anything
from celery_config.common.services import PACKAGES

OURS = ("celery_config", *PACKAGES, "compose")
SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logging(service: str, form: str, level: str) -> None:
    """Set up structlog and the standard library's logging.

    Args:
        service: named on every line.
        form: `json`, `console`, or `auto` (console when standard error is a terminal).
        level: of our own loggers; libraries log from WARNING on.
    """
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    # Without local variables, which hold tokens and addresses; what matters is at the two ends of the stack.
    traceback = structlog.dev.RichTracebackFormatter(show_locals=False, max_frames=6, extra_lines=0)
    renderer: Any = structlog.dev.ConsoleRenderer(exception_formatter=traceback)
    if not console:
        renderer = structlog.processors.JSONRenderer(serializer=lambda event, **_: encode_anything(event))

    def add_service(_: Any, __: str, event: Any) -> Any:
        event["service"] = service
        return event

    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, add_service]
    if not console:
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
        final.append(structlog.processors.ExceptionRenderer(transformer))
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": [*SHARED, structlog.stdlib.ExtraAdder()],
                    "processors": [*final, renderer],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {
                **{name: {"level": level} for name in OURS},
                "axes": {"level": "ERROR"},  # our own event says it
                "django.request": {"level": "ERROR"},  # the answer shows clients their mistakes
            },
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
