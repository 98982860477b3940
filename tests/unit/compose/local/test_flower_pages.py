"""Flower's pages lead to the services, and a task's page to its saga."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import flower.urls
import pytest

from celery_config.broker.topology import flower_options
from compose.local.flower_pages import find_saga, link_services

SAGA = "0191e0a0-0000-7000-8000-00001a2b3c4d"


def make_task(**ids: object) -> Any:
    return SimpleNamespace(
        kwargs=flower_options(**ids)["kwargsrepr"],
        uuid="u1",
        name="n",
        state="SUCCESS",
        args="()",
        _fields=(),
    )


@pytest.fixture
def templates(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(flower.urls, "settings", dict(flower.urls.settings))
    monkeypatch.setattr(flower.urls, "handlers", [*flower.urls.handlers])
    monkeypatch.setenv("PAYMENT_PUBLIC_URL", "https://payment.example.com/")
    link_services()
    return flower.urls.settings["template_loader"]


def test_a_task_of_a_saga_names_it() -> None:
    assert find_saga(make_task(saga=SAGA, step="reserve-stock")) == SAGA
    assert find_saga(make_task(subject="x")) == ""
    assert find_saga(SimpleNamespace()) == ""


def render(templates: Any, name: str, **more: Any) -> str:
    """A page, without Flower behind it."""
    given: dict[str, Any] = {
        "active_tab": "tasks",
        "reverse_url": lambda *names: "/".join(names),
        "static_url": str,
        "url_escape": str,
        "url_prefix": "",
        "humanize": lambda it, **_: str(it),
        "read_only": True,
        "handler": SimpleNamespace(application=SimpleNamespace(options=SimpleNamespace(auth=""))),
        "_tt_modules": SimpleNamespace(Template=lambda *_, **__: ""),
    }
    return str(templates.load(name).generate(**given | more).decode())


def test_the_bar_leads_to_the_services(templates: Any) -> None:
    html = render(templates, "navbar.html")
    assert 'href="https://payment.example.com/admin/"' in html
    assert 'href="http://127.0.0.1:8001/admin/"' in html
    assert 'href="tasks"' in html, "Flower's own bar is below"


def test_the_page_of_a_task_leads_to_its_saga(templates: Any) -> None:
    html = render(templates, "task.html", task=make_task(saga=SAGA))
    assert f"http://127.0.0.1:8001/admin/find/?q={SAGA}" in html
    assert f'href="saga/{SAGA}"' in html


def test_the_page_of_a_saga_lists_its_tasks(templates: Any) -> None:
    task = SimpleNamespace(uuid="u1", name="payment.void", state="SUCCESS", received=1.0, worker=None)
    assert '<a href="task/u1">payment.void</a>' in render(templates, "saga.html", saga=SAGA, tasks=[task])
    assert "does not remember them" in render(templates, "saga.html", saga=SAGA, tasks=[])
