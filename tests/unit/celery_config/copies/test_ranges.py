"""Ranges of keys and their checksums."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from celery_config.copies.ranges import (
    Piece,
    Range,
    RowVersion,
    find_differing,
    pick_newest,
    split_at,
    split_by_size,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)


def entry(key: str, version: int = 1, *values: Any, at: datetime = AT) -> RowVersion:
    return RowVersion(key, version, at, values)


def entries(count: int) -> list[RowVersion]:
    return [entry(f"{n:04d}", 1 + n % 3, n) for n in range(count)]


def test_a_range_is_split_into_pieces_of_a_size() -> None:
    pieces = split_by_size(entries(10), None, 4, 9)
    assert [(piece.upto, piece.rows) for piece in pieces] == [("0003", 4), ("0007", 4), (None, 2)]


def test_the_last_piece_ends_where_the_range_does() -> None:
    assert [piece.upto for piece in split_by_size(entries(8), "zz", 4, 9)] == ["0003", "0007", "zz"]
    assert [piece.upto for piece in split_by_size([], None, 4, 9)] == [None]


def test_what_is_more_than_the_most_is_left_for_the_next_question() -> None:
    read: list[str] = []

    def reading() -> Any:
        for each in entries(1000):
            read.append(each.key)
            yield each

    assert [piece.upto for piece in split_by_size(reading(), None, 4, 2)] == ["0003", "0007"]
    assert len(read) == 8


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_both_sides_come_to_the_same(size: int) -> None:
    pieces = split_by_size(entries(50), None, size, 100)
    assert split_at(entries(50), [piece.upto for piece in pieces]) == pieces
    assert find_differing(None, pieces, pieces) == []


@pytest.mark.parametrize(
    "other",
    [
        entry("0005", 9, 5),
        entry("0005", 3, 6),
        entry("0005", 3, "5"),
        RowVersion("0005", 3, AT, None),
        entry("0005x", 3, 5),
    ],
)
def test_each_difference_changes_the_piece_that_it_is_in(other: RowVersion) -> None:
    pieces = split_by_size(entries(20), None, 4, 10)
    ours = [other if each.key == "0005" else each for each in entries(20)]
    found = split_at(ours, [piece.upto for piece in pieces])
    assert find_differing(None, pieces, found) == [Range("0003", "0007")]


def test_what_one_side_alone_has_is_in_its_piece() -> None:
    pieces = split_by_size(entries(8), None, 4, 10)
    more = split_at([*entries(8), entry("9999")], [piece.upto for piece in pieces])
    assert find_differing(None, pieces, more) == [Range("0007", None)]
    nothing = split_at([], [piece.upto for piece in pieces])
    assert find_differing("!", pieces, nothing) == [Range("!", "0003"), Range("0003", "0007")]


def test_when_a_row_changed_and_the_order_of_names_make_no_difference() -> None:
    one, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert split_by_size([entry("a", 1, one)], None, 9, 9) == split_by_size(
        [entry("a", 1, other, at=later)], None, 9, 9
    )
    assert entry("a", 1, one).equals(entry("a", 1, other, at=later))
    assert not entry("a").equals(None)


def test_random_sides_differ_exactly_where_they_do() -> None:
    chance = random.Random(5)
    for _ in range(50):
        theirs = sorted(
            (entry(f"{n:03d}", 1, n) for n in chance.sample(range(200), 100)), key=lambda e: e.key
        )
        ours = [each for each in theirs if chance.random() < 0.97]
        size = chance.randrange(1, 40)
        pieces = split_by_size(theirs, None, size, 1000)
        ranges = find_differing(None, pieces, split_at(ours, [piece.upto for piece in pieces]))
        missing = {each.key for each in theirs} - {each.key for each in ours}
        inside = [
            r for r in ranges for k in missing if (r.after or "") < k and (r.upto is None or k <= r.upto)
        ]
        assert {(r.after, r.upto) for r in inside} == {(r.after, r.upto) for r in ranges}
        assert len(inside) == len(missing)


def test_of_one_key_the_highest_version_counts() -> None:
    found = pick_newest([entry("a", 1), entry("b", 5)], [entry("a", 2), entry("b", 4)])
    assert [(each.key, each.version) for each in found] == [("a", 2), ("b", 5)]


def test_a_piece_is_what_travels() -> None:
    (piece,) = split_by_size([entry("a", 1, "x")], None, 2, 1)
    assert piece == Piece(None, 1, piece.checksum)
    assert len(piece.checksum) == 24
