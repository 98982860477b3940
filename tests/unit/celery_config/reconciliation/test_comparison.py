"""Two books compared."""

from __future__ import annotations

from uuid import UUID, uuid4

from celery_config.reconciliation.comparison import BookedEffect, Finding, FindingKind, compare

ORDER = uuid4()


def entry(id: str, order: UUID | None = ORDER, **facts: object) -> BookedEffect:
    return BookedEffect(id, order, facts)


def test_equal_books_have_no_findings() -> None:
    book = [entry("a", state="booked"), entry("b", uuid4(), state="cancelled")]
    assert list(compare(theirs=reversed(book), ours=book)) == []


def test_an_effect_that_only_they_know_is_an_orphan() -> None:
    (finding,) = compare(theirs=[entry("a", state="booked")], ours=[])
    assert finding == Finding(FindingKind.ORPHAN, "a", ORDER, "only they have it: state booked")


def test_a_second_effect_of_one_order_is_an_orphan() -> None:
    (finding,) = compare(theirs=[entry("a"), entry("b")], ours=[entry("a")])
    assert (finding.kind, finding.id, finding.order) == (FindingKind.ORPHAN, "b", ORDER)


def test_an_entry_that_names_no_order_of_ours_is_an_orphan() -> None:
    (finding,) = compare(theirs=[entry("a", None)], ours=[])
    assert (finding.kind, finding.order) == (FindingKind.ORPHAN, None)


def test_what_only_we_know_is_missing() -> None:
    (finding,) = compare(theirs=[], ours=[entry("a", amount=1200)])
    assert finding == Finding(FindingKind.MISSING, "a", ORDER, "only we have it: amount 1200")


def test_each_differing_fact_is_told() -> None:
    (finding,) = compare(
        theirs=[entry("a", state="dispatched", parcels=1)], ours=[entry("a", state="booked", parcels=1)]
    )
    assert finding == Finding(FindingKind.DIFFERENT, "a", ORDER, "state: ours booked, theirs dispatched")


def test_a_fact_of_one_side_alone_is_a_difference() -> None:
    (finding,) = compare(theirs=[entry("a")], ours=[entry("a", state="booked")])
    assert finding.detail == "state: ours booked, theirs None"


def test_another_order_under_the_same_id_is_a_difference() -> None:
    other = uuid4()
    (finding,) = compare(theirs=[entry("a", other)], ours=[entry("a")])
    assert finding.detail == f"order: ours {ORDER}, theirs {other}"


def test_unsettled_orders_are_not_judged() -> None:
    other = uuid4()
    theirs = [entry("a", state="cancelled"), entry("b", state="booked")]
    ours = [entry("a", state="booked"), entry("c"), entry("d", other)]
    (finding,) = compare(theirs=theirs, ours=ours, unsettled={ORDER})
    assert finding.order == other
