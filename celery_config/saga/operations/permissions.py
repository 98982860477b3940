"""Which permission each act of an operator needs: one for each verb, on the pages and over HTTP. Pure."""

from __future__ import annotations

from collections.abc import Mapping

CHANGES_LETTERS = "saga.change_deadletter"
"""Every act on dead letters needs it, also the one that drives their flow."""
PERMISSIONS: Mapping[str, str] = {
    "retry": "saga.retry_sagainstance",
    "compensate": "saga.compensate_sagainstance",
    "resume": "saga.resume_sagainstance",
    "take over": "saga.take_over_sagainstance",
    "settle by hand": "saga.settle_sagainstance",
    "pause": "saga.add_sagapause",
    "unpause": "saga.delete_sagapause",
    "hold": "holds.add_hold",
    "let go": "holds.change_hold",
    "look now": "saga.hurry_sagainstance",
    "deadline": "saga.reschedule_sagainstance",
    "send again": CHANGES_LETTERS,
    "dismiss": CHANGES_LETTERS,
    "rebuild": "saga.retry_sagainstance",
}
"""By the verbs that the trail keeps."""
MAKES_BATCHES, STEERS_BATCHES = "batches.add_batch", "batches.change_batch"
"""A batch also needs the permission of its verb: who makes it, starts it, or lets it go on has both."""


def list_needs(of_batches: str, verb: str, *, of_letters: bool) -> tuple[str, ...]:
    """Return the permissions that an act on a batch needs, whichever page or address asks for it.

    Args:
        of_batches: the permission to make or to steer batches.
        verb: what the batch does; of one that is not known, nothing else can be asked.
        of_letters: whether it acts on dead letters.
    """
    of_verb = PERMISSIONS.get(verb)
    return (of_batches, *((CHANGES_LETTERS,) if of_letters else ()), *((of_verb,) if of_verb else ()))
