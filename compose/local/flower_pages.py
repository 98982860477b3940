"""What our Flower shows besides Flower's own: the services above each page, and the tasks of one saga."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import flower.urls
from flower.views import BaseHandler
from tornado import web
from tornado.template import Loader, Template

from celery_config.settings.addresses import public_urls

TEMPLATES = Path(__file__).resolve().parents[1] / "flower" / "templates"
SAGA = re.compile(r"'saga': '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'")


class Templates(Loader):
    """Flower's templates; ours of the same name go before them, and include Flower's as `flower/NAME`."""

    def _create_template(self, name: str) -> Template:
        ours = TEMPLATES / name
        path = ours if ours.is_file() else Path(self.root) / name.removeprefix("flower/")
        return Template(path.read_bytes(), name=name, loader=self)


class SagaTasks(BaseHandler):  # type: ignore[misc]
    """The tasks of one saga, or of one choreographed order, that Flower remembers; the oldest first."""

    @web.authenticated
    def get(self, saga: str) -> None:
        try:
            wanted = str(UUID(saga))
        except ValueError as error:
            raise web.HTTPError(HTTPStatus.NOT_FOUND, "this is no id of a saga") from error
        known = [*self.application.events.state.tasks.values()]
        tasks = sorted(
            (each for each in known if find_saga(each) == wanted), key=lambda each: each.timestamp or 0
        )
        self.render("saga.html", saga=wanted, tasks=tasks)


def find_saga(task: Any) -> str:
    """The id of the saga, or of the choreographed order, of a task; empty: it has none, such as a batch of events."""
    found = SAGA.search(str(getattr(task, "kwargs", "") or ""))
    return found[1] if found else ""


def link_services() -> None:
    """Add the bar of the services, and the page of a saga's tasks."""
    pages = {"service_urls": public_urls(), "find_saga": find_saga}
    flower.urls.settings["template_loader"] = Templates(
        flower.urls.settings["template_path"], namespace=pages
    )
    flower.urls.handlers.insert(0, web.url(r"/saga/([^/]+)", SagaTasks, name="saga"))
