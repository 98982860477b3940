"""Answers that no service of ours gives, from one whose credentials somebody else has: they harm no other's orders."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest

from celery_config.copies import source_client, sync
from celery_config.copies.models import FINAL_VERSION
from celery_config.copies.ranges import Range
from celery_config.copies.registry import copies
from celery_config.copies.source_client import SourceClient
from celery_config.errors import OutcomeUnknown
from celery_config.http.service_client import ServiceCallError
from celery_config.messaging.observations import read_observations
from celery_config.participant import rest_client
from celery_config.saga.engine import hindrances
from celery_config.saga.operations import barrier_client, services

pytestmark = pytest.mark.django_db
AT = "2026-11-29T00:00:00Z"
NOWHERE = {"order": "http://127.0.0.1:1", "shipment": "http://127.0.0.1:1"}
NONSENSE = (
    "", "null", "7", "[]", "[7]", '"x"', "{}", "[" * 100_000, '{"results": 7, "next": null}', '{"results": [7]}',
    '{"results": [{"saga": "x"}], "next": null}', '{"results": [], "next": 7}', '{"results": [], "next": "http://["}',
    '{"trouble": 7}', '{"trouble": [7]}', '{"replies": 7}', '{"replies": null}', '{"ended": "no"}', '{"rows": "many"}',
    '[[]]', '[[{"upto": 7}]]', '{"changes": 7}',
)  # fmt: skip


class Stranger(ThreadingHTTPServer):
    """Answers every request with the same."""

    daemon_threads = True
    says: str | Callable[[str], str] = ""

    def say(self, path: str) -> bytes:
        return (self.says if isinstance(self.says, str) else self.says(path)).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = self.server.say(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stranger(settings: Any) -> Iterator[Stranger]:
    """In place of payment and inventory."""
    with Stranger(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        settings.SERVICE_URLS = {**NOWHERE, "payment": url, "inventory": url}
        rest_client.participant.cache_clear()
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
        rest_client.participant.cache_clear()


@pytest.fixture
def source(stranger: Stranger) -> SourceClient:
    return source_client.open_source(copies["catalogue_product"], 5.0)


@pytest.mark.parametrize("says", NONSENSE, ids=lambda says: says[:40])
class TestNonsense:
    def test_is_no_answer_to_whether_it_is_in_trouble(self, stranger: Stranger, says: str) -> None:
        """Every order that waited for it was parked, since its deadline could not be looked at."""
        stranger.says = says
        assert hindrances.ask_participants(["payment"]) == {"payment": hindrances.NO_ANSWER}

    def test_is_no_barrier(self, stranger: Stranger, says: str) -> None:
        stranger.says = says
        assert barrier_client.read_barrier("payment", uuid4()) is None

    def test_is_no_reply_to_a_command(self, stranger: Stranger, says: str) -> None:
        stranger.says = says
        with pytest.raises(OutcomeUnknown):
            rest_client.participant("payment").ask("payment.capture_payment", {}, {}, key="x")

    def test_is_no_source(self, stranger: Stranger, source: SourceClient, says: str) -> None:
        stranger.says = says
        asked: list[Callable[[], Any]] = [
            source.count_rows,
            lambda: source.fetch_changes(""),
            lambda: source.fetch_pieces([Range()], 10, 10),
        ]
        for ask in asked:
            with pytest.raises(ServiceCallError):
                ask()

    def test_hides_no_other_service(self, stranger: Stranger, says: str) -> None:
        stranger.says = says
        services.look_at_services()
        found = services.list_services(read_observations())
        assert {each.service for each in found} == {"order", "payment", "inventory", "shipment"}
        assert not any(each.moves for each in found)


def test_what_is_long_or_cannot_be_stored_is_cut(stranger: Stranger) -> None:
    stranger.says = json.dumps({"flows": True, **{f"a\0\ud800{n}": "b\0" + "c" * 9000 for n in range(900)}})
    services.look_at_services()
    (payment,) = [each for each in services.list_services(read_observations()) if each.service == "payment"]
    assert payment.moves
    assert len(payment.says) == services.MOST_CHECKS
    assert max(map(len, payment.says.values())) == services.LONGEST
    stranger.says = json.dumps({"trouble": ["x\0" * 9000]})
    assert len(hindrances.ask_participant("payment")) == hindrances.LONGEST


def test_pages_without_an_end(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    """They held a thread of the order service, and filled its memory."""
    row = {"saga": str(uuid4()), "step": "x", "action": "done", "undo": "", "reply": None, "note": ""}
    stranger.says = lambda path: json.dumps({"results": [row] * 10, "next": path})
    monkeypatch.setattr(barrier_client, "SECONDS", 0.5)
    assert barrier_client.read_barrier("payment", uuid4()) is None


def test_a_service_that_hangs_takes_a_part_of_the_threads(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody who may see a flow can ask for its effects."""
    stranger.says = json.dumps({"results": [], "next": None})
    monkeypatch.setattr(barrier_client, "PATIENCE", 0.01)
    for _ in range(barrier_client.MOST_ASKING):
        assert barrier_client.read_barrier("payment", uuid4()) == {}
        assert barrier_client.places["payment"].acquire(blocking=False)
    try:
        assert barrier_client.read_barrier("payment", uuid4()) is None
        assert not barrier_client.places["payment"].acquire(blocking=False)
        assert barrier_client.places["shipment"].acquire(blocking=False)
        barrier_client.places["shipment"].release()
    finally:
        barrier_client.places["payment"].release(barrier_client.MOST_ASKING)


def test_rows_of_others_are_left_out(stranger: Stranger) -> None:
    asked, other = uuid4(), uuid4()
    row = {"step": "x", "action": "done", "undo": "", "reply": None, "note": ""}
    both = [{**row, "saga": str(asked)}, {**row, "saga": str(other)}]
    stranger.says = json.dumps({"results": both, "next": None})
    found = barrier_client.read_barriers_of_many("payment", [asked])
    assert found is not None
    assert {*found} == {asked}


def test_a_reply_that_no_message_could_hold(stranger: Stranger) -> None:
    stranger.says = json.dumps({"replies": {"x": "y" * rest_client.MAX_BYTES}})
    with pytest.raises(OutcomeUnknown, match="more than"):
        rest_client.participant("payment").ask("payment.capture_payment", {}, {}, key="x")


def row(key: str, version: int = 1, values: Any = ("Heart", 100, "GBP", 150, True)) -> dict[str, Any]:
    return {"key": key, "version": version, "changed_at": AT, "values": values}


class TestASource:
    @pytest.mark.parametrize(
        "rows",
        [
            [row("b"), row("a")],
            [row("b"), row("b")],
            [row("0")],
            [row("z")],
            [row("b"), row("c"), row("d"), row("e")],
            [row("b", FINAL_VERSION)],
            [row("b", FINAL_VERSION + 1, None)],
        ],
    )
    def test_sends_no_other_rows_than_were_asked_for(
        self, stranger: Stranger, source: SourceClient, rows: list[Any]
    ) -> None:
        stranger.says = json.dumps(rows)
        with pytest.raises(ServiceCallError, match="not asked for"):
            source.read_range("a", "f", 3)

    @pytest.mark.parametrize("rows", [[row("b")], [row("a", FINAL_VERSION)]])
    def test_sends_no_other_keys(self, stranger: Stranger, source: SourceClient, rows: list[Any]) -> None:
        stranger.says = json.dumps(rows)
        with pytest.raises(ServiceCallError, match="not asked for"):
            source.read_keys(["a"])

    @pytest.mark.parametrize(
        "ends",
        [[], [None], ["b", "b", "f"], ["c", "b", "f"], [None, "f"], ["a"], ["g"], ["b"] * 9],
        ids=str,
    )
    def test_splits_the_range_and_goes_on(
        self, stranger: Stranger, source: SourceClient, ends: list[Any]
    ) -> None:
        """A piece that ends where it began was asked for again without end."""
        stranger.says = json.dumps([[{"upto": end, "rows": 1, "checksum": "x"} for end in ends]])
        with pytest.raises(ServiceCallError, match="not asked for"):
            source.fetch_pieces([Range("a", "f")], 10, 4)

    @pytest.mark.parametrize("ends", [["f"], ["b"], ["b", "c", "f"]], ids=str)
    def test_may_split_as_it_likes(self, stranger: Stranger, source: SourceClient, ends: list[Any]) -> None:
        stranger.says = json.dumps([[{"upto": end, "rows": 1, "checksum": "x"} for end in ends]])
        ((*pieces,),) = source.fetch_pieces([Range("a", "f")], 10, 4)
        assert [piece.upto for piece in pieces] == ends

    def test_has_an_end(
        self, stranger: Stranger, source: SourceClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keys in order there are without number, and all of a range are in memory at once."""
        monkeypatch.setattr(sync, "MOST_ROWS", 5000)
        count = iter(range(10**6))
        stranger.says = lambda _: json.dumps([row(f"{next(count):07}") for _ in range(sync.PIECE_ROWS)])
        with pytest.raises(ServiceCallError, match="5000"):
            sync.Synchronizer(source, lambda _: None).read_range(Range())
