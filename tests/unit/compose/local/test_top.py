"""`./manage.py top`: what it reads of services that answer, lag, or are down; what a script gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from celery_config.common import labels
from celery_config.common.services import SERVICES
from compose.local import running, top

ENVIRONMENT = {f"{service.upper()}_URL": f"http://{service}" for service in SERVICES}
METRICS = {
    "order": (
        'order_saga_sagas{status="running"} 7\norder_saga_sagas{status="parked"} 2\norder_saga_parked_overdue 1\n'
        'order_saga_dead_letters_open 3\norder_saga_time_standing_seconds{cause="broker"} 12\n'
        'order_saga_outbox_age_seconds 4.5\norder_saga_copy_lag_seconds{copy="products"} +Inf\n'
        'order_saga_copy_lag_seconds{copy="currencies"} 1.5\n'
        'order_saga_began_in_last_minute{saga="place-order"} 100\n'
        'order_saga_began_in_last_minute{saga="place-order (choreographed)"} 20\n'
        'order_saga_began_in_last_minute{saga="refund-order"} 50\n'
        'order_saga_ended_in_last_minute{saga="place-order"} 30\n'
        'order_saga_queue_messages{queue="payment.commands"} 12\norder_saga_queue_workers{queue="payment.commands"} 2\n'
        'order_saga_queue_workers{queue="payment.urgent"} 0\n'
    ),
    "payment": "order_saga_outbox_age_seconds 0\n",
    "inventory": "",
}


def answer(request: httpx.Request) -> httpx.Response:
    service, path = request.url.host, request.url.path
    if service == "shipment":
        raise httpx.ConnectError("down", request=request)
    if path == "/metrics":
        return httpx.Response(200, text=METRICS.get(service, ""))
    if path == "/flowz" and service == "inventory":
        return httpx.Response(503, json={"relay": "9 s behind", "broker": "ok"})
    return httpx.Response(200, json={})


@pytest.fixture
def client() -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(answer))


def test_the_state_has_whatever_the_services_say(client: httpx.Client) -> None:
    state = top.read_state(ENVIRONMENT, client)
    assert state["on_their_way"] == {"running": 7, "stopping": 0, "forward": 0}
    assert (state["parked"], state["parked_overdue"], state["dead_letters"]) == (2, 1, 3)
    assert state["standing"] == {"broker": 12}
    assert state["rates"] == {"placed": 2.0, "ended": 0.5}
    assert state["services"]["order"] == {"faults": [], "outbox_age": 4.5, "set_aside": None, "copy_lag": 1.5}
    assert state["services"]["inventory"]["faults"] == ["relay: 9 s behind"]
    assert "no answer" in state["services"]["shipment"]["faults"][0]
    assert state["queues"] == {
        "payment.commands": {"messages": 12, "workers": 2},
        "payment.urgent": {"messages": None, "workers": 0},
    }
    assert json.loads(json.dumps(state)) == state


def test_nothing_is_known_of_a_system_that_does_not_answer() -> None:
    away = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(502)))
    state = top.read_state(ENVIRONMENT, away)
    assert (state["rates"], state["queues"]) == (None, {})


def test_the_screen_shows_it_in_words(client: httpx.Client) -> None:
    console = Console(record=True, width=150, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(top.draw_state(top.read_state(ENVIRONMENT, client)))
    text = console.export_text()
    for told in (
        "2 placed, 0.5 ended a second in the last minute",
        "2, 1 overdue",
        "stands: 12 s for broker",
        "relay: 9 s behind",
        "7 on its way, 0 being cancelled, 0 being finished",
    ):
        assert told in text


def test_its_labels_are_those_of_the_board(client: httpx.Client) -> None:
    """The board's modules have no label of their own for what both show."""
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(top.draw_state(top.read_state(ENVIRONMENT, client)))
    text = console.export_text()
    shown = [value for name, value in vars(labels).items() if name.isupper() and isinstance(value, str)]
    for label in [*shown, *labels.QUEUE_HEADERS]:
        assert label in text or label == labels.RUNS, label
    root = Path(__file__).parents[4] / "celery_config"
    for module in ("saga/admin/board.py", "saga/admin/services.py", "messaging/board.py"):
        source = (root / module).read_text()
        assert "labels." in source
        for label in (
            labels.WAITING,
            labels.DEAD_LETTERS,
            labels.SAGA_TIME,
            labels.TO_SEND,
            labels.NOT_SENDABLE,
        ):
            assert f'"{label}"' not in source


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_once_says_by_its_exit_code_that_something_does_not_work(
    option: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    client: httpx.Client,
) -> None:
    monkeypatch.setattr(top, "find_environment", lambda: ENVIRONMENT)
    monkeypatch.setattr(httpx, "Client", lambda **_: client)
    assert top.main(["--once", *option]) == 1
    out = capsys.readouterr().out
    assert (json.loads(out)["parked"] == 2) if option else (labels.WAITING in out)


def test_nothing_runs(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "find_running", lambda _: [])
    for service in SERVICES:
        monkeypatch.delenv(f"{service.upper()}_URL", raising=False)
    assert top.main(["--once"]) == 1
    assert "Nothing is running" in capsys.readouterr().err
