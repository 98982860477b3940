"""The states of a saga, and what its log knows of a step. Pure."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    RUNNING = "running"
    STOPPING = "stopping"
    FORWARD = "forward"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    PARKED = "parked"


ENDED = (Status.COMPLETED, Status.COMPENSATED)
OPEN = (Status.RUNNING, Status.STOPPING, Status.FORWARD)


class StepState(StrEnum):
    """What the saga log knows of a step; it only rises (rule 16, the saga log)."""

    NOTHING = ""
    DONE = "done"
    REFUSED = "refused"
    UNDONE = "undone"

    @property
    def rank(self) -> int:
        return {"": 0, "done": 1, "refused": 1, "undone": 2}[self.value]
