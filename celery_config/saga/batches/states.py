"""The states of a batch and of its flows. Pure."""

from __future__ import annotations

from django.db.models import TextChoices


class BatchState(TextChoices):
    """Where a batch stands."""

    CHECKING = "checking"  # the dry run is on its way
    READY = "ready"  # somebody may start it
    TRYING = "trying"  # one flow is tried; the others wait for its end
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"  # what was not acted on is left alone
    ENDED = "ended"  # each flow was acted on, or left alone


class ItemState(TextChoices):
    """What became of one flow of a batch."""

    CHOSEN = "chosen"
    CHECKED = "checked"  # the dry run says what would become of it
    ACTED = "acted"
    REFUSED = "refused"
    LEFT = "left alone"


class ItemOutcome(TextChoices):
    """Where a flow or dead letter stands after the batch acted on it."""

    UNDER_WAY = "", "on its way"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    PARKED = "parked"  # it waits for a decision again
    # Of a dead letter, see `dead_letters.outcomes`.
    DONE = "done"
    REFUSED = "refused"
    STOPPED = "stopped"
    UNDONE = "undone"
    NOT_REFUSED = "not refused"
    DEAD_AGAIN = "dead again"
    DISMISSED = "dismissed"


IN_VAIN = (ItemOutcome.PARKED, ItemOutcome.DEAD_AGAIN)
"""Of one that is tried first: it stands as before, and the others wait for a person."""
