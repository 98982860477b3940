"""The broker's queues as its management API shows them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from celery_config.broker.cluster import BrokerApiError, QueueState, find_faults, read_queues

WHOLE = {"name": "order.commands", "type": "quorum", "members": ["a", "b", "c"], "online": ["a", "b", "c"]}


class Api:
    """A management API in this process."""

    def __init__(self) -> None:
        self.nodes, self.queues = ["a", "b", "c"], [WHOLE]
        self.asked: list[tuple[str, str]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append((self.path.partition("?")[0], self.headers["Authorization"]))
                found: Any = api.queues if "/queues/" in self.path else [{"name": n} for n in api.nodes]
                body = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://order:s%20cret@127.0.0.1:{self.server.server_port}/api/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_it_asks_with_its_name_and_password(api: Api) -> None:
    assert read_queues(api.url) == [QueueState("order.commands", 3, 3, 3, 0)]
    paths, logins = zip(*api.asked, strict=True)
    assert paths == ("/api/nodes", "/api/queues/order-saga")
    assert set(logins) == {"Basic b3JkZXI6cyBjcmV0"}  # order:s cret


@pytest.mark.parametrize(
    ("queue", "fault"),
    [
        ({"members": ["a"], "online": ["a"]}, "the queue order.commands has 1 of 3 members: grow it"),
        ({"online": ["a", "b"]}, "of the queue order.commands 2 of 3 members are up"),
        (
            {"messages_dlx": 7},
            "7 dead letters wait in the queue order.commands: has dead-letters a leader?",
        ),
    ],
)
def test_it_says_what_is_wrong(api: Api, queue: dict[str, Any], fault: str) -> None:
    assert find_faults(api.url) == []
    api.queues = [{**WHOLE, **queue}]
    assert find_faults(api.url) == [fault]


def test_one_node_wants_one_member_and_five_nodes_want_three(api: Api) -> None:
    api.nodes, api.queues = ["a"], [{**WHOLE, "members": ["a"], "online": ["a"]}]
    assert find_faults(api.url) == []
    api.nodes, api.queues = list("abcde"), [WHOLE]
    assert find_faults(api.url) == []


def test_an_api_that_is_away_or_answers_nonsense_is_named_without_the_password(api: Api) -> None:
    api.queues = {"error": "not_authorised"}  # type: ignore[assignment]
    with pytest.raises(BrokerApiError, match="answered no list"):
        read_queues(api.url)
    with pytest.raises(BrokerApiError, match=r"API at 127\.0\.0\.1: ") as raised:
        read_queues("http://order:secret@127.0.0.1:1/api/")
    assert "secret" not in str(raised.value)
