"""What the publisher leaves out of a message's headers is what Celery takes for granted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from celery import Celery
from celery.worker.request import Request

from celery_config.broker.outgoing_messages import CELERY_DEFAULTS


def test_celery_reads_a_message_without_them_as_one_with_them() -> None:
    app = Celery("plain", set_as_current=False)

    @app.task(name="plain.task", ignore_result=False)
    def plain() -> None: ...

    def request(headers: dict[str, Any]) -> Request:
        message = SimpleNamespace(
            headers={"task": "plain.task", "id": "1", **headers},
            properties={}, delivery_info={}, body=[[], {}, {}],
            content_type="application/json", content_encoding="utf-8", payload=[[], {}, {}],
        )  # fmt: skip
        return Request(message, app=app, task=plain, body=message.body, decoded=True)

    def seen(found: Request) -> list[Any]:
        context = found._context
        return [
            context.retries, [*found.time_limits], found.ignore_result,
            found.replaced_task_nesting, context.replaced_task_nesting, found.stamps,
        ]  # fmt: skip

    assert seen(request({})) == seen(request(CELERY_DEFAULTS))
    assert seen(request({"retries": 1, "timelimit": [1, 2], "replaced_task_nesting": 1})) != seen(request({}))
