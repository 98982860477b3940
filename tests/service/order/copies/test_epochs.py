"""A copy whose source was set back: it goes back with it, and what was said before counts for nothing."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from celery_config.contracts.inventory import ProductChanged
from celery_config.copies import freshness, store
from celery_config.copies.models import FINAL_VERSION, CopyState
from celery_config.copies.readers import CopyReader
from celery_config.copies.registry import copies
from celery_config.copies.source_client import ChangePage, RowChange
from celery_config.messaging.inbox.subscriptions import deliver
from celery_config.messaging.outbox import writing
from tests.service.copies_source import SourceInMemory

pytestmark = pytest.mark.django_db
OLD, NEW = "00000001", "00000002"
COPY = copies["catalogue_product"]


def values(price: int) -> tuple[Any, ...]:
    return ("Heart", price, "GBP", 150, True)


class Source(SourceInMemory):
    """Its feed has each row once, with the version that it has."""

    def __init__(self) -> None:
        super().__init__(COPY)
        self.epoch, self.recovering = OLD, False

    def fetch_changes(self, after: str) -> ChangePage:
        rows = [
            RowChange(f"1-1-{self.epoch}", row.key, row.version, 1.0) for row in self.memory.rows.values()
        ]
        end = f"1-1-{self.epoch}"
        return ChangePage(() if after == end else tuple(rows), end, self.epoch, self.recovering)

    def set_back(self, key: str, version: int, price: int, *, epoch: str = NEW) -> None:
        self.epoch = epoch
        self.put(key, version, values(price))


@pytest.fixture
def source() -> Source:
    """In version 15 here and there, and looked at."""
    source = Source()
    store.apply_rows(COPY, [source.put("A", 15, values(15))])
    freshness.measure_lag(source)
    assert state().rebuilt_epoch == OLD
    return source


def state() -> CopyState:
    return CopyState.objects.get()


def copied(key: str = "A") -> tuple[int, Any]:
    row = CopyReader(COPY).read_keys([key])[key]
    return row.version, row.values and row.values[1]


def hear(version: int, price: int, epoch: str) -> None:
    fields: dict[str, Any] = {"name": "Heart", "currency": "GBP", "weight_grams": 150, "active": True}
    event = ProductChanged(sku="A", version=version, price=price, **fields)
    more = {"epoch": epoch} if epoch else {}
    deliver([writing.cloud_event(event, subject="A", event_id=uuid4(), **more)])


def test_a_new_epoch_takes_the_copy_back_to_its_sources_version(source: Source) -> None:
    source.set_back("A", 11, 999)
    freshness.measure_lag(source)
    assert copied() == (11, 999)
    assert (state().epoch, state().rebuilt_epoch, state().cursor) == (NEW, NEW, f"1-1-{NEW}")


def test_what_the_old_epoch_said_comes_late_and_is_dropped(source: Source) -> None:
    source.set_back("A", 11, 999)
    freshness.measure_lag(source)
    hear(16, 16, OLD)
    assert copied() == (11, 999)
    hear(12, 12, NEW)
    assert copied() == (12, 12)


def test_what_a_new_epoch_says_before_the_copy_knows_it_is_read_again(source: Source) -> None:
    source.set_back("A", 16, 999)
    hear(16, 999, NEW)
    assert copied() == (15, 15)
    freshness.measure_lag(source)
    assert copied() == (16, 999)


def test_an_older_releases_event_names_no_epoch_and_counts(source: Source) -> None:
    hear(16, 16, "")
    assert copied() == (16, 16)


def test_a_copy_ahead_of_its_source_is_noticed_without_a_new_epoch(source: Source) -> None:
    source.set_back("A", 11, 999, epoch=OLD)
    CopyState.objects.update(cursor="")
    freshness.measure_lag(source)
    assert copied() == (11, 999)


def test_a_copy_waits_while_its_source_is_recovered_by_it(source: Source) -> None:
    source.set_back("A", 11, 999)
    source.recovering = True
    freshness.measure_lag(source)
    assert copied() == (15, 15)
    source.recovering = False
    freshness.measure_lag(source)
    assert copied() == (11, 999)


def test_a_refill_that_broke_off_is_made_again(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    source.set_back("A", 11, 999)

    def away(number: int) -> None:
        raise RuntimeError("away")

    source.before = away
    with pytest.raises(RuntimeError):
        freshness.measure_lag(source)
    source.before = lambda number: None
    freshness.measure_lag(source)
    assert copied() == (11, 999)


def test_who_was_erased_is_not_brought_back_by_a_source_that_was_set_back(source: Source) -> None:
    store.apply_rows(COPY, [source.put("B", FINAL_VERSION, None)])
    source.set_back("B", 3, 999)
    freshness.measure_lag(source)
    assert copied("B") == (FINAL_VERSION, None)
