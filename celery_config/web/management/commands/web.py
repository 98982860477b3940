"""`./manage.py SERVICE web`"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.servers.basehttp import get_internal_wsgi_application

from celery_config.common import tracing
from celery_config.common.arguments import parse_port, parse_text
from celery_config.common.process import START_CHECKS
from celery_config.common.services import SERVICES
from celery_config.web.server import CannotListen, Limits, WebServer, serve

log = structlog.get_logger(__name__)
HEALTH_PAGES = ("/healthz", "/readyz", "/flowz", "/metrics")
OTHER_FILES = 200
"""Files that the process has open besides its clients: databases, broker, logs."""


class Command(BaseCommand):
    help = "Serve the pages and the API. Several may run at once, with --reuse-port at one address."
    requires_system_checks = START_CHECKS

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--bind",
            action="append",
            type=parse_bind,
            metavar="ADDRESS:PORT",
            help="where to listen; several are possible (default: the service's port at 127.0.0.1)",
        )
        parser.add_argument("--reuse-port", action="store_true", help="other processes may listen there, too")

    def handle(self, *args: Any, **options: Any) -> None:
        check_static_files()
        limits = Limits(
            threads=settings.WEB_THREADS,
            body_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
            connections=allow_connections(settings.WEB_CONNECTIONS),
        )
        tracing.start_tracing(settings.SERVICE, "web")
        application = get_internal_wsgi_application()

        def make_server() -> WebServer:
            return WebServer(
                application, limits, own_threads=HEALTH_PAGES, logs_requests=settings.WEB_ACCESS_LOG
            )

        binds = options["bind"] or [("127.0.0.1", SERVICES[settings.SERVICE].port)]
        try:
            is_answered = asyncio.run(serve(make_server, binds, reuse_port=options["reuse_port"]))
        except CannotListen as error:
            raise CommandError(str(error)) from error
        if not is_answered:
            log.warning("requests were under way for too long; this process ends without their answers")
            os._exit(1)  # a normal end waits for their threads


def check_static_files() -> None:
    """
    Raises:
        CommandError: the folder of static files was not filled; each page would fail.
    """
    folder = settings.STATIC_ROOT
    if folder and not Path(folder, "staticfiles.json").is_file():
        raise CommandError(
            f"STATIC_FOLDER names {folder}, where no collected files are. Run `./manage.py {settings.SERVICE}"
            " collectstatic`, or do not set STATIC_FOLDER."
        )


def parse_bind(text: str) -> tuple[str, int]:
    """
    Raises:
        ArgumentTypeError: it is not `address:port`, or there is no such port.
    """
    address, colon, port = parse_text(text).rpartition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r:.100} is not ADDRESS:PORT")
    return address.strip("[]"), parse_port(port)


def allow_connections(wanted: int) -> int:
    """How many clients this process can have at a time; its limit of open files is raised where it can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + OTHER_FILES
    if 0 <= soft < files:
        soft = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(wanted, soft - OTHER_FILES))
    return wanted
