"""What a choreographed order decides, given what was seen of it."""

from __future__ import annotations

from typing import Any

import pytest

from celery_config.saga.engine.machine import IGNORE, CancelRequested, Decision, Retry, View, WatchdogFired
from celery_config.saga.states import Status
from order_project.choreography.derivation import (
    ALL_DONE,
    ALL_UNDONE,
    COLLECTED,
    RELEASED,
    RETAINED,
    WITHDRAWN,
    Announcement,
    EventsSeen,
    Trigger,
    WithdrawalAsked,
    decide,
)

RUNNING, STOPPING, FORWARD, PARKED = Status.RUNNING, Status.STOPPING, Status.FORWARD, Status.PARKED
AGAIN, WITHDRAW = Announcement.ORDER, Announcement.WITHDRAWAL
LATE: dict[str, Any] = {"past_deadline": True, "past_patience": True}


@pytest.mark.parametrize(
    ("status", "seen", "trigger", "times", "decision"),
    [
        (RUNNING, (), EventsSeen(), {}, IGNORE),
        (RUNNING, (COLLECTED,), EventsSeen(), {}, Decision(FORWARD)),
        (STOPPING, (WITHDRAWN, RETAINED), EventsSeen(), {}, Decision(FORWARD, soon=True)),
        (PARKED, (COLLECTED,), EventsSeen(), {}, IGNORE),
        (PARKED, ALL_DONE, EventsSeen(), {}, Decision(Status.COMPLETED)),
        (Status.COMPLETED, ALL_UNDONE, EventsSeen(), {}, IGNORE),
        (RUNNING, (), CancelRequested(), {}, Decision(STOPPING, WITHDRAW)),
        (STOPPING, (WITHDRAWN,), CancelRequested(), {}, IGNORE),
        (FORWARD, (COLLECTED,), CancelRequested(), {}, IGNORE),
        (PARKED, (WITHDRAWN,), WithdrawalAsked(), {}, Decision(STOPPING, WITHDRAW)),
        (PARKED, (COLLECTED,), WithdrawalAsked(), {}, IGNORE),
        (PARKED, (COLLECTED,), Retry(), {}, Decision(FORWARD, AGAIN)),
        (PARKED, (COLLECTED, RELEASED), Retry(), {}, IGNORE),
        (RUNNING, (), WatchdogFired(), {}, Decision(send=AGAIN)),
        (RUNNING, (), WatchdogFired(), LATE, Decision(STOPPING, WITHDRAW)),
        (STOPPING, (WITHDRAWN,), WatchdogFired(), {}, Decision(send=WITHDRAW)),
        (STOPPING, (WITHDRAWN,), WatchdogFired(), LATE, Decision(PARKED)),
        (FORWARD, (COLLECTED,), WatchdogFired(), {"past_deadline": True}, Decision(send=AGAIN)),
        (Status.COMPENSATED, (), Retry(), {}, IGNORE),
    ],
)
def test_each_decision(
    status: Status,
    seen: tuple[str, ...],
    trigger: Trigger,
    times: dict[str, Any],
    decision: Decision[Announcement],
) -> None:
    assert decide(View(status, {kind: {} for kind in seen}, **times), trigger) == decision
