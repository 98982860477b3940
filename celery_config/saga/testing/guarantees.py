"""What a saga promises, checked against the participants' books (docs/protocol.md, "One sentence")."""

from __future__ import annotations

from collections.abc import Collection

from celery_config.messaging.states import Action, Undo
from celery_config.saga.states import Status
from celery_config.saga.testing.orchestrator import Orchestrator
from celery_config.saga.testing.participant_state import ParticipantState, Violation


def check_after(saga: Orchestrator, books: Collection[ParticipantState]) -> None:
    """After every move.

    Raises:
        Violation: a guarantee is broken.
    """
    live = [book.effects for book in books]
    pivot_ran = undone = False
    for book in books:
        pivot_ran |= book.is_pivot and book.effects > 0
        undone |= book.ever_undone
    if pivot_ran and undone:
        raise Violation("the pivot was done, and a step before it undone")
    if saga.status is Status.COMPLETED and not all(live):
        raise Violation(f"the saga is completed, but not done: {join_names(books, live=False)}")
    if saga.status is Status.COMPENSATED and any(live):
        raise Violation(f"the saga is compensated, but still there: {join_names(books, live=True)}")


def check_at_the_end(
    saga: Orchestrator, books: Collection[ParticipantState], *, may_park: Collection[str]
) -> None:
    """When nothing is under way any more.

    Args:
        may_park: the steps whose undo or own failure may last.

    Raises:
        Violation: a guarantee is broken.
    """
    if saga.status is Status.PARKED:
        check_parked(saga, books, may_park)
    else:
        check_providers(books)


def check_providers(books: Collection[ParticipantState]) -> None:
    for book in books:
        ours = book.row is not None and book.row.action is Action.DONE and book.row.undo is not Undo.DONE
        if book.outside and ours != (book.provider == "live"):
            raise Violation(
                f"{book.name} is {book.provider or 'unknown'} at its provider, ours says otherwise"
            )


def check_parked(saga: Orchestrator, books: Collection[ParticipantState], may_park: Collection[str]) -> None:
    pivot_ran = saga.saga.only_forward() or any(book.is_pivot and book.live for book in books)
    if not any(book.name in may_park and is_stuck(book, pivot_ran) for book in books):
        raise Violation("the saga is parked, although nothing that is left failed for long")
    if saga.repaired:
        raise Violation("the saga is parked, although what failed was repaired and it was tried again")
    left = [b.name for b in books if b.live and b.name not in may_park]
    if left and not pivot_ran:
        raise Violation(f"the saga is parked, and {', '.join(left)} could have been undone")


def is_stuck(book: ParticipantState, pivot_ran: bool) -> bool:
    """Whether there is still something to do: past the pivot the step, before it the undo of what may be there."""
    if pivot_ran:
        return not book.compensatable and not book.live
    in_doubt = book.row is not None and book.row.action is Action.INTENT
    return book.compensatable and (book.live or in_doubt)


def join_names(books: Collection[ParticipantState], *, live: bool) -> str:
    return ", ".join(book.name for book in books if book.live is live)
