"""Comparing a copy with its source without sending the rows."""

from __future__ import annotations

from celery_config.digest import digest


def test_the_order_of_the_rows_does_not_matter() -> None:
    """Rule 20: two databases sort by different collations."""
    assert digest([("a", 1), ("B", 2), ("é", 3)]) == digest([("é", 3), ("a", 1), ("B", 2)])


def test_an_older_version_a_missing_and_a_further_row_show() -> None:
    """Rule 20."""
    source = digest([("a", 1), ("b", 2)])
    others = ([("a", 1), ("b", 1)], [("a", 1)], [("a", 1), ("b", 2), ("c", 1)], [("a", 2), ("b", 1)], [])
    assert all(digest(rows) != source for rows in others)


def test_keys_and_versions_do_not_run_into_each_other() -> None:
    assert digest([("a", 11)]) != digest([("a1", 1)])
