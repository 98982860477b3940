"""How far a copy is behind, who is told, and reads that will not have what is stale."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from celery_config.copies import api as copies_api
from celery_config.copies import duties, freshness, measures, resync, store
from celery_config.copies.models import CopyState
from celery_config.copies.registry import copies
from celery_config.copies.source_client import ChangePage, RowChange
from celery_config.http.service_client import ServiceCallError
from celery_config.messaging.models import OutboxMessage
from order_project.models import PayableCurrency
from tests.service.copies_source import SourceInMemory
from tests.service.together import concurrent, in_background

pytestmark = pytest.mark.django_db
VALUES = ("Heart", 100, "GBP", 150, True)


class SourceWithChanges(SourceInMemory):
    """Its changes, all a `Page` at a time."""

    def __init__(self) -> None:
        super().__init__(copies["catalogue_product"])
        self.log: list[RowChange] = []
        self.end = "0-0"

    def change(self, key: str, version: int, *, age: float = 1.0, arrives: bool = True) -> None:
        self.end = f"0-{len(self.log) + 1}"
        self.log.append(RowChange(self.end, key, version, age))
        if arrives:
            store.apply_rows(self.copy, [self.put(key, version, VALUES)])

    def fetch_changes(self, after: str) -> ChangePage:
        done = int((after or "0-0").partition("-")[2])
        page = tuple(self.log[done : done + 3])
        return ChangePage(page, page[-1].cursor if len(page) == 3 else self.end)


@pytest.fixture(autouse=True)
def one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests follow one copy; the other one has its own source."""
    monkeypatch.delitem(copies, "payable_currency")


@pytest.fixture
def source() -> SourceWithChanges:
    return SourceWithChanges()


def state() -> CopyState:
    return CopyState.objects.get()


class TestLag:
    def test_a_copy_that_has_everything_is_not_behind(self, source: SourceWithChanges) -> None:
        for n in range(8):
            source.change(f"S{n}", 1)
        freshness.measure_lag(source)
        assert (state().cursor, state().behind_since) == ("0-8", None)
        assert freshness.compute_lag(state(), timezone.now()) == 0.0

    def test_the_oldest_change_that_is_missing_counts(self, source: SourceWithChanges) -> None:
        source.change("A", 1, age=50)
        source.change("B", 1, age=40, arrives=False)
        source.change("C", 1, age=30, arrives=False)
        source.change("D", 1, age=20)
        freshness.measure_lag(source)
        lag = freshness.compute_lag(state(), timezone.now())
        assert lag is not None
        assert 40 <= lag < 45
        assert state().cursor == "0-1"

    def test_a_later_version_does_as_well(self, source: SourceWithChanges) -> None:
        source.change("A", 1, arrives=False)
        source.change("A", 2)
        freshness.measure_lag(source)
        assert state().cursor == "0-2"

    def test_what_never_came_is_asked_for(self, source: SourceWithChanges) -> None:
        source.change("A", 1, age=10_000, arrives=False)
        source.change("B", 1, age=1, arrives=False)
        freshness.measure_lag(source)
        payload = OutboxMessage.objects.get(name=resync.RESYNC).payload
        assert payload["kwargs"] == {"copy": "catalogue_product", "keys": ["A"]}

    def test_nobody_knows_when_nobody_could_look(self) -> None:
        old = timezone.now() - timedelta(minutes=5)
        assert freshness.compute_lag(CopyState(looked_at=None), timezone.now()) is None
        assert freshness.compute_lag(CopyState(looked_at=old), timezone.now()) is None

    def test_the_page_of_what_moves_says_which_copy_is_late(self, source: SourceWithChanges) -> None:
        source.change("A", 1, age=90, arrives=False)
        freshness.measure_lag(source)
        answer = Client().get("/flowz")
        assert answer.status_code == 503
        assert answer.json()["copies"].startswith("late: catalogue_product 9")

    def test_the_page_of_what_moves_warns_of_rows_that_differ(self, source: SourceWithChanges) -> None:
        source.change("A", 1)
        freshness.measure_lag(source)
        CopyState.objects.update(differing=3)
        warning = "warning: copies differ from their source: catalogue_product in 3 rows"
        assert freshness.summarize_lag() == warning
        CopyState.objects.update(looked_at=None)
        assert freshness.summarize_lag().startswith(freshness.LAG_UNKNOWN)

    def test_its_metric_rises_when_nobody_looks(self, source: SourceWithChanges) -> None:
        def measure() -> float:
            (lag, *_) = measures.measure_copies()
            return float(lag.samples[0].value)

        assert measure() == math.inf, "nobody has ever looked"
        source.change("A", 1)
        freshness.measure_lag(source)
        assert measure() == 0
        CopyState.objects.update(looked_at=timezone.now() - timedelta(minutes=5))
        assert 300 <= measure() < 310

    def test_the_api_shows_it(self, source: SourceWithChanges, peer: Any) -> None:
        source.change("A", 1)
        freshness.measure_lag(source)
        (shown,) = peer.get("/api/copies/").json()["copies"]
        assert (shown["name"], shown["source"], shown["lag_seconds"]) == (
            "catalogue_product",
            "inventory.product",
            0.0,
        )


class TestMinVersion:
    def get(self, peer: Any, query: str = "") -> Any:
        return peer.get(f"/api/products/A/{query}")

    def test_what_is_there_is_answered_at_once(self, source: SourceWithChanges, peer: Any) -> None:
        source.change("A", 3)
        assert self.get(peer, "?min_version=3").json()["version"] == 3
        assert self.get(peer).json()["price"] == 100

    def test_what_is_not_there_yet_is_no_stale_answer(
        self, source: SourceWithChanges, peer: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(copies_api, "WAIT_SECONDS", 0.05)
        source.change("A", 3)
        answer = self.get(peer, "?min_version=4")
        assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (425, "copy_behind", "1")
        assert peer.get("/api/products/B/?min_version=1").status_code == 425

    def test_only_a_few_wait_at_once(
        self, source: SourceWithChanges, peer: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each that waits has a thread of the web, and others need one, too."""
        monkeypatch.setattr(copies_api, "WAIT_SECONDS", 1e9)
        source.change("A", 3)
        for _ in range(copies_api.MOST_WAITING):
            assert copies_api.waiting.acquire(blocking=False)
        try:
            assert self.get(peer, "?min_version=4").status_code == 425
            assert self.get(peer, "?min_version=3").status_code == 200
        finally:
            copies_api.waiting.release(copies_api.MOST_WAITING)
        monkeypatch.setattr(copies_api, "WAIT_SECONDS", 0.05)
        for _ in range(copies_api.MOST_WAITING + 1):
            assert self.get(peer, "?min_version=4").status_code == 425
        assert copies_api.waiting.acquire(blocking=False)
        copies_api.waiting.release()

    def test_what_is_gone_or_never_was_is_not_found(self, source: SourceWithChanges, peer: Any) -> None:
        store.apply_rows(source.copy, [source.put("A", 4, None)])
        for query in ("", "?min_version=4"):
            assert self.get(peer, query).status_code == 404
        assert peer.get("/api/products/B/").status_code == 404

    @pytest.mark.parametrize("text", ["-1", "1.5", "x", "9" * 30])
    def test_a_version_that_is_none_is_a_400(self, peer: Any, text: str) -> None:
        assert self.get(peer, f"?min_version={text}").status_code == 400


@concurrent
def test_a_read_waits_for_what_comes_soon(peer: Any) -> None:
    source = SourceWithChanges()
    source.change("A", 1)
    read = in_background(lambda: peer.get("/api/products/A/?min_version=2").json())
    source.change("A", 2)
    assert read.result(20)["version"] == 2


class TestTheCommand:
    @pytest.fixture
    def reached(self, source: SourceWithChanges, monkeypatch: pytest.MonkeyPatch) -> SourceWithChanges:
        from types import SimpleNamespace

        from celery_config.copies.management.commands import sync as command

        def open_source(copy: Any) -> Any:
            source.client = SimpleNamespace(exchanged=source.sent)  # type: ignore[assignment]
            return source

        monkeypatch.setattr(command, "open_source", open_source)
        monkeypatch.setattr(duties, "open_source", open_source)
        return source

    def run(self, *options: str) -> tuple[str, int]:
        out = StringIO()
        try:
            call_command("sync", *options, "--patience", "0", stdout=out)
        except SystemExit as end:
            return out.getvalue().splitlines()[-1], int(str(end.code))
        return out.getvalue().splitlines()[-1], 0

    def test_equal_copies_exit_with_zero(self, reached: SourceWithChanges) -> None:
        reached.change("A", 1)
        assert self.run("--check") == ("sync: 1 rows compared, 0 differ", 0)
        assert (state().rows, state().differing) == (1, 0)

    def test_a_difference_exits_with_one_until_it_is_mended(self, reached: SourceWithChanges) -> None:
        reached.put("A", 1, VALUES)
        assert self.run("--check") == ("sync: 1 rows compared, 1 differ", 1)
        assert self.run("--repair", "--copy", "catalogue_product") == ("sync: 1 rows compared, 0 differ", 0)
        assert self.run() == ("sync: 1 rows compared, 0 differ", 0)

    def test_a_key_steers_no_terminal(self, reached: SourceWithChanges) -> None:
        out = StringIO()
        reached.put("A\x1b[2J\nB", 1, VALUES)
        with pytest.raises(SystemExit):
            call_command("sync", "--check", "--patience", "0", stdout=out)
        assert "  differing: A\\u001b[2J\\u000aB\n" in out.getvalue()

    def test_a_rebuild_is_compared_in_the_end(self, reached: SourceWithChanges) -> None:
        reached.put("A", 1, VALUES)
        assert self.run("--rebuild") == ("sync: 1 rows compared, 0 differ", 0)

    def test_an_unknown_copy_is_named(self, reached: SourceWithChanges) -> None:
        with pytest.raises(CommandError, match="there are catalogue_product"):
            self.run("--copy", "x")

    def test_a_source_that_is_away_is_said(self, reached: SourceWithChanges) -> None:
        def away(number: int) -> None:
            raise ServiceCallError("inventory does not answer")

        reached.before = away
        with pytest.raises(CommandError, match="inventory does not answer"):
            self.run()

    def test_the_scheduled_check_runs_once_when_it_is_due(
        self, reached: SourceWithChanges, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reached.put("A", 1, VALUES)
        monkeypatch.setattr(duties.sync, "PATIENCE_SECONDS", 0.0)
        duties.check_if_due(reached.copy)
        assert state().differing == 1
        asked = reached.asked
        duties.check_if_due(reached.copy)
        assert reached.asked == asked

    def test_a_source_that_has_no_end_holds_up_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each copy has duties, and so threads, of its own."""
        ((_, copy),) = copies.items()
        other = replace(copy, model=PayableCurrency)
        monkeypatch.setattr(duties, "copies", {copy.name: copy, other.name: other})
        made = duties.duties()
        assert len({each.name for each in made}) == len(made) == 4
        assert len({id(each.run.__self__) for each in made}) == 4  # type: ignore[attr-defined]
