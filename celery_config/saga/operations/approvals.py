"""Four eyes: with `FOUR_EYES` one operator asks for an act, and another one with its permission approves it.

The request's row lock decides between two who approve at once: the act is done within the transaction that closes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import QuerySet
from django.utils import timezone

from celery_config.common.grouping import group_by
from celery_config.db.functions import Now
from celery_config.errors import OperatorRefused
from celery_config.saga.approvals.models import ActsAlone, ApprovalRequest
from celery_config.saga.approvals.states import RequestState
from celery_config.saga.models import OperatorAction, WatchedRow
from celery_config.saga.operations.acts import ask_for, name_act
from celery_config.saga.operations.audit_trail import check_reason, record_action

EXPIRES_EVERY = 60.0
"""Seconds between two looks for requests whose time is over."""
DECLINE = "decline"
MOST_READ = 100
WINDOW_SECONDS = 3600
"""In which one person's acts with one verb count together: many small ones are as much as a large one."""


@dataclass(frozen=True)
class ApprovedAct:
    """An act that may need four eyes.

    Args:
        perform: does what a locked request asks for; takes also `by`, `why` and `asked_by`.
        list_needs: returns the permissions that approving each of some requests needs, by their ids.
    """

    perform: Callable[..., OperatorAction]
    list_needs: Callable[[Sequence[ApprovalRequest]], Mapping[UUID, tuple[str, ...]]]


acts: dict[str, ApprovedAct] = {}
"""By the name of the act in the trail; the modules that perform them fill this."""


def act_alone(verb: str, *, by: str, count: int = 1) -> bool:
    """Note on how many rows a person acts without another; call it in the transaction of the act.

    Returns:
        Whether they may: with those of the last hour it is at most `FOUR_EYES_ABOVE`. If not, nothing is noted.
    """
    if not settings.FOUR_EYES:
        return True
    ActsAlone.objects.bulk_create([ActsAlone(by=by, verb=verb)], ignore_conflicts=True)
    row, now = ActsAlone.objects.select_for_update().get(by=by, verb=verb), time.time()
    acts = [*drop_old(row.acts, now), [now, count]]
    if sum(number for _, number in acts) > settings.FOUR_EYES_ABOVE:
        return False
    row.acts = acts
    row.save(update_fields=["acts"])
    return True


def check_alone(verb: str, *, by: str, count: int = 1) -> None:
    """Note on how many rows a person acts without another; call it in the transaction of the act.

    Raises:
        OperatorRefused: with those of the last hour there are too many.
    """
    if not act_alone(verb, by=by, count=count):
        raise OperatorRefused(explain_limit(verb, by))


def explain_limit(verb: str, by: str) -> str:
    """Return on how many rows a person may still act with a verb, in words; empty: `FOUR_EYES` is off."""
    if not settings.FOUR_EYES:
        return ""
    row = ActsAlone.objects.filter(by=by, verb=verb).first()
    done = sum(number for _, number in drop_old(row.acts if row else [], time.time()))
    return (
        f"in an hour one person may use “{name_act(verb)}” on at most {settings.FOUR_EYES_ABOVE:,} alone, and you"
        f" used it on {done:,}; for more make a batch, whose start another person approves"
    )


def drop_old(acts: list[Any], now: float) -> list[Any]:
    return [each for each in acts if now - each[0] < WINDOW_SECONDS]


def ask(
    act: str, row: models.Model, *, by: str, why: str, what: str = "", subject: str = "", **arguments: Any
) -> OperatorAction:
    """Ask for an act; return the record of that. Nothing is done until another person approves.

    Args:
        what: the step, if the act is not on the whole row.
        subject: as of `record_action`.
        arguments: what the act needs, as JSON.

    Raises:
        OperatorRefused: the same is asked for already.
    """
    check_reason(why)
    expires_at = timezone.now() + timedelta(hours=settings.APPROVAL_HOURS)
    same = ApprovalRequest.objects.filter(act=act, row=row.pk, what=what, state=RequestState.OPEN)
    try:
        with transaction.atomic():
            same.filter(expires_at__lte=Now()).update(**close(RequestState.EXPIRED))
            ApprovalRequest.objects.create(
                act=act, kind=row._meta.label_lower, row=row.pk, what=what, arguments=arguments, asked_by=by,
                why=why, expires_at=expires_at,
            )  # fmt: skip
            return record_action(
                ask_for(act),
                row=row if isinstance(row, WatchedRow) else None,
                subject=subject,
                what=what,
                by=by,
                why=why,
                result_text=f"waits until {expires_at:%Y-%m-%d %H:%M} UTC for the approval of another person",
            )
    except IntegrityError as error:
        raise OperatorRefused(
            f"“{name_act(act)}” is asked for already, and waits for the approval of another person"
        ) from error


def close(state: RequestState, *, by: str = "", why: str = "") -> dict[str, Any]:
    """Return what is written on a request that is decided."""
    return {"state": state, "decided_by": by, "decided_why": why, "decided_at": Now(), "arguments": {}}


def list_needs(request: ApprovalRequest, decision: str, by: str) -> tuple[str, ...]:
    """Return the permissions that a decision about a request needs, besides that to see it.

    Args:
        decision: `approve` or `decline`.
        by: who decides; who asked may take it back.
    """
    known = acts.get(request.act)
    is_taken_back = decision == DECLINE and by == request.asked_by
    return known.list_needs([request])[request.pk] if known and not is_taken_back else ()


def find_open() -> QuerySet[ApprovalRequest]:
    """The requests about which a person may still decide, those first that expire first."""
    return ApprovalRequest.objects.filter(state=RequestState.OPEN, expires_at__gt=Now()).order_by(
        "expires_at"
    )


def list_decidable(may: Callable[[Iterable[str]], bool], by: str) -> list[ApprovalRequest]:
    """Return the open requests that a person may approve: one query, and one for each kind of act.

    Args:
        may: whether the person has all of these permissions.
        by: the person's name; what they ask for themselves is left out.
    """
    asked = list(find_open().exclude(asked_by=by)[:MOST_READ])
    needs: dict[UUID, tuple[str, ...]] = {}
    for act, alike in group_by(lambda request: request.act, asked).items():
        if known := acts.get(act):
            needs |= known.list_needs(alike)
    return [request for request in asked if request.pk in needs and may(needs[request.pk])]


def explain_closed(request: ApprovalRequest) -> str:
    """Return why nothing can be decided about a request any more; empty: it is open."""
    if request.state == RequestState.OPEN:
        return ""
    who = f" by {request.decided_by}" if request.decided_by else ""
    return f"the request is {request.state}{who}"


def explain_refusal(request: ApprovalRequest, by: str) -> str:
    """Return why a person cannot approve a request; empty: they can."""
    if closed := explain_closed(request):
        return closed
    if request.act not in acts:
        return f"this version does not know the act {request.act!r}"
    if request.expires_at <= timezone.now():
        return "the request has expired; ask for it again"
    return "another person than the one who asks approves" if by == request.asked_by else ""


def approve(pk: UUID, *, by: str, why: str) -> OperatorAction:
    """Do what is asked for; return the record of the act, which has the names of both.

    Raises:
        OperatorRefused: it is decided or expired, `by` asked for it, or the act is refused; the request stays as it is.
        ServiceCallError: a service that the act needs does not answer.
        ApprovalRequest.DoesNotExist: there is none.
    """
    check_reason(why)
    with transaction.atomic():
        request = ApprovalRequest.objects.select_for_update().get(pk=pk)
        if why_not := explain_refusal(request, by):
            raise OperatorRefused(why_not)
        reasons = f"{request.why} · approved: {why}"
        done = acts[request.act].perform(request, by=by, why=reasons, asked_by=request.asked_by)
        ApprovalRequest.objects.filter(pk=pk).update(**close(RequestState.APPROVED, by=by, why=why))
        return done


def decline(pk: UUID, *, by: str, why: str) -> OperatorAction:
    """Close a request without doing what it asks for; who asked may take it back so.

    Raises:
        OperatorRefused: it is decided already.
        ApprovalRequest.DoesNotExist: there is none.
    """
    check_reason(why)
    with transaction.atomic():
        request = ApprovalRequest.objects.select_for_update().get(pk=pk)
        if why_not := explain_closed(request):
            raise OperatorRefused(why_not)
        ApprovalRequest.objects.filter(pk=pk).update(**close(RequestState.DECLINED, by=by, why=why))
        return record_action(
            DECLINE, by=by, why=why, asked_by=request.asked_by, subject=str(request.row),
            what=ask_for(request.act), result_text="it is not done",
        )  # fmt: skip


def expire_requests() -> None:
    """Close the requests about which no person decided in time."""
    late = ApprovalRequest.objects.filter(state=RequestState.OPEN, expires_at__lte=Now())
    late.update(**close(RequestState.EXPIRED))


def count_badges() -> dict[str, int]:
    """Count the open requests, by the label of the model with the page."""
    if not settings.FOUR_EYES:
        return {}
    return {ApprovalRequest._meta.label_lower: find_open().count()}
