"""A copy compared with its source, mended and rebuilt, while events flow."""

from __future__ import annotations

import random
from typing import Any

import pytest

from celery_config.copies import store, sync
from celery_config.copies.readers import CopyReader, stream_rows
from celery_config.copies.registry import copies
from celery_config.http.service_client import ServiceCallError
from order_project.models import CatalogueProduct
from tests.service.copies_source import SourceInMemory

pytestmark = pytest.mark.django_db
PATIENCE = 0.2


def values(n: int) -> tuple[Any, ...]:
    return (f'Product {n} Ä\u0001"', n, "GBP", 100, n % 2 == 0)


@pytest.fixture
def source() -> SourceInMemory:
    return SourceInMemory(copies["catalogue_product"])


def fill(source: SourceInMemory, count: int, *, step: int = 1) -> list[str]:
    """Both sides equal, every hundredth key deleted."""
    keys = [f"S{n * step:06d}" for n in range(count)]
    made = [source.put(key, 1 + n % 7, None if n % 100 == 99 else values(n)) for n, key in enumerate(keys)]
    store.apply_rows(source.copy, made)
    return keys


def equal(source: SourceInMemory) -> bool:
    ours = list(stream_rows(CopyReader(source.copy), None, None))
    theirs = list(stream_rows(source.memory, None, None))
    return [(e.key, e.version, e.values) for e in ours] == [(e.key, e.version, e.values) for e in theirs]


def compare(source: SourceInMemory, **options: Any) -> sync.SyncResult:
    return sync.compare(source, **{"patience": PATIENCE, **options})


def test_equal_sides_send_little(source: SourceInMemory) -> None:
    fill(source, 5000)
    found = compare(source)
    assert (found.rows, found.differing) == (5000, 0)
    assert source.sent < 1000


def test_two_empty_sides_are_equal(source: SourceInMemory) -> None:
    assert compare(source) == sync.SyncResult()


def damage(source: SourceInMemory, keys: list[str]) -> list[str]:
    """Ten rows that differ, of every kind."""
    row = CatalogueProduct.everything.filter
    row(pk=keys[0]).update(price=-1)
    row(pk=keys[1111]).update(active=False, version=1)
    row(pk=keys[2222]).update(version=99)
    row(pk=keys[3333]).delete()
    row(pk=keys[4444]).update(deleted=True)
    row(pk=keys[99]).update(deleted=False)  # a tombstone that came back to life
    row(pk=keys[4998]).update(name="\u00e4")
    row(pk=keys[500]).update(currency="EUR")
    source.put("S000500a", 1, values(1))
    CatalogueProduct.everything.create(
        sku="zzz", name="of nobody", price=1, currency="GBP", weight_grams=1, active=True, version=4,
        changed_at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    return sorted([*(keys[n] for n in (0, 99, 500, 1111, 2222, 3333, 4444, 4998)), "S000500a", "zzz"])


def test_the_rows_that_differ_are_found_and_no_others(source: SourceInMemory) -> None:
    wanted = damage(source, fill(source, 5000))
    found = compare(source)
    assert found.differing == 10
    assert sorted(found.keys) == wanted


def test_what_differs_is_mended(source: SourceInMemory) -> None:
    damage(source, fill(source, 5000))
    found = compare(source, mend=True)
    assert (found.mended, found.differing) == (10, 0)
    assert equal(source)
    assert compare(source).differing == 0


def test_a_rebuild_mends_as_well(source: SourceInMemory) -> None:
    damage(source, fill(source, 5000))
    assert sync.rebuild(source).mended == 10
    assert equal(source)


def test_a_copy_is_rebuilt_from_nothing(source: SourceInMemory) -> None:
    fill(source, 3000)
    CatalogueProduct.everything.all().delete()
    seen: list[int] = []
    assert sync.rebuild(source, seen.append).mended == 3000
    assert equal(source)
    assert seen[-1] == 3000


def test_a_source_that_is_empty_empties_the_copy(source: SourceInMemory) -> None:
    fill(source, 2500)
    source.memory.rows.clear()
    assert sync.rebuild(source).mended == 2500
    assert not CatalogueProduct.everything.exists()


def test_a_million_rows_would_send_less_than_a_hundredth(source: SourceInMemory) -> None:
    """Twenty thousand rows and one difference, in the proportion of a million and fifty."""
    keys = fill(source, 20_000)
    everything = len(sync_bytes(source))
    source.put(keys[12_345], 9, values(1))
    source.sent = 0
    assert compare(source).differing == 1
    assert source.sent < everything / 100


def sync_bytes(source: SourceInMemory) -> bytes:
    from tests.service.copies_source import encoder

    return encoder.encode(list(source.memory.rows.values()))


class TestWhileEventsFlow:
    def test_what_arrives_in_time_does_not_differ(self, source: SourceInMemory) -> None:
        keys = fill(source, 50)
        late = [source.put(key, 20, values(20)) for key in keys[:5]]

        def arrive(number: int) -> None:
            if number == 5:
                store.apply_rows(source.copy, late)

        source.before = arrive
        assert compare(source, patience=5.0).differing == 0

    def test_what_does_not_arrive_differs(self, source: SourceInMemory) -> None:
        keys = fill(source, 50)
        source.put(keys[7], 20, values(20))
        assert compare(source).keys == [keys[7]]

    def test_a_row_that_changes_all_the_time_need_not_be_caught_up_with(self, source: SourceInMemory) -> None:
        keys = fill(source, 50)
        entries = [source.put(keys[7], version, values(version)) for version in range(20, 60)]
        source.put(keys[7], 20, values(20))

        def go_on(number: int) -> None:
            store.apply_rows(source.copy, [entries[number - 1]])
            source.memory.rows[keys[7]] = entries[number]

        source.before = go_on
        assert compare(source, patience=5.0).differing == 0

    def test_events_win_over_what_a_rebuild_read_before_them(self, source: SourceInMemory) -> None:
        """What came after our look at our own rows is newer than the source's answer, or the same."""
        keys = fill(source, 100)
        for key in keys[:50]:
            CatalogueProduct.everything.filter(pk=key).update(price=-1)
        source.put("new", 1, values(1))
        newer = [source.put(key, 30, values(30)) for key in keys[:10]]
        old = {key: source.put(key, 20, values(20)) for key in keys[:10]}

        def arrive(number: int) -> None:
            if number == 2:  # between our read and the answer
                store.apply_rows(source.copy, newer)

        source.before = arrive
        sync.rebuild(source)
        after = (
            CatalogueProduct.everything.filter(pk__in=list(old)).values_list("version", "price").distinct()
        )
        assert list(after) == [(30, 30)]
        assert not CatalogueProduct.objects.filter(price=-1).exists()
        assert CatalogueProduct.objects.filter(pk="new").exists()

    def test_random_changes_and_repairs_end_equal(self, source: SourceInMemory) -> None:
        chance = random.Random(7)
        keys = fill(source, 300)
        for _ in range(5):
            for key in chance.sample(keys, 60):
                now = source.memory.rows[key]
                entry = source.put(key, now.version + 1, chance.choice([None, values(chance.randrange(99))]))
                if chance.random() < 0.7:
                    store.apply_rows(source.copy, [entry])
            compare(source, patience=0, mend=True)
            assert equal(source)


def test_a_source_that_does_not_answer_is_said(source: SourceInMemory) -> None:
    def away(number: int) -> None:
        raise ServiceCallError("inventory does not answer")

    source.before = away
    with pytest.raises(ServiceCallError):
        compare(source)
