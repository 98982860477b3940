"""The participant's HTTP API: commands, manual settlement and webhooks pass the same barrier as messages do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Literal, Protocol, TypedDict
from uuid import UUID

import msgspec
import structlog
from celery import current_app
from celery.app.task import Context
from celery.exceptions import Ignore, Reject
from django.conf import settings
from django.db import DataError, InterfaceError, OperationalError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.common import metrics
from celery_config.common.correlation import read_origin
from celery_config.common.identifiers import parse_uuid
from celery_config.errors import (
    CallFailed,
    EventUnreadable,
    Forged,
    OperatorRefused,
    OutcomeUnknown,
    Recovering,
    Refused,
    ServiceUnavailable,
    SignatureInvalid,
    SignatureStale,
    StepSuperseded,
    WebhookRefused,
)
from celery_config.http.webhooks import CallEvent
from celery_config.messaging import trouble
from celery_config.messaging.barrier import manual, webhooks
from celery_config.messaging.barrier.webhooks import OutcomeNotification
from celery_config.messaging.deliveries import Delivery, Outcome, resolve_outcome
from celery_config.messaging.idempotency import Answer, answer_once
from celery_config.messaging.tasks import DurableTask
from celery_config.participant.handlers import load_handlers
from celery_config.web.authentication import ServiceUser
from celery_config.web.error_pages import BodyTooLarge
from celery_config.web.fields import IdField, JsonObjectField, StrictCharField, WordField
from celery_config.web.idempotency_keys import KeyUse, set_key_use
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.problems import Conflict, Unprocessable
from celery_config.web.refusals import ANY_CODE, Refusal, Refusals
from celery_config.web.schema import describe_type

log = structlog.get_logger(__name__)
# Webhook bodies have a few kilobytes; nothing of a body is trusted before its signature is checked.
MAX_BYTES = 256 * 1024
IGNORED, REFUSED = "ignored", "refused"


class CommandInput(serializers.Serializer[Any]):
    task = StrictCharField(max_length=120, help_text="wire name of the command, or `SERVICE.fence`")
    message = serializers.DictField(help_text="what the broker's message of that task holds")
    replies = serializers.DictField(help_text="the replies of the steps before it, by step")


class BarrierSettleInput(serializers.Serializer[Any]):
    task = StrictCharField(max_length=120, help_text="wire name of the action's or undo's command")
    saga = IdField()
    step = StrictCharField(max_length=80)
    operation = WordField(("do", "undo"))
    subject = StrictCharField(max_length=64)
    command = JsonObjectField()
    answer = JsonObjectField(help_text="what the provider would have answered")
    note = StrictCharField(max_length=1000, help_text="who says so, and why")


class WebhookOutput(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField([*(o.value for o in webhooks.NotificationResult), IGNORED])


class Replies(TypedDict):
    """What the steps have replied so far, by step."""

    replies: dict[str, Any]


class Ended(TypedDict):
    ended: Literal[True]


class Settled(TypedDict):
    settled: str


class Commands(APIView):
    """For the orchestrator alone."""

    refusals: Refusals = {
        "POST": [
            NotFound,
            # A refusal has the code of the handler, the provider or the carrier.
            Refusal(status.HTTP_422_UNPROCESSABLE_ENTITY, ANY_CODE),
            Refusal(status.HTTP_409_CONFLICT, ANY_CODE),
            *(CallFailed, StepSuperseded, Recovering, OutcomeUnknown),
        ]
    }

    @extend_schema(
        request=CommandInput, responses={200: {"anyOf": [describe_type(Replies), describe_type(Ended)]}}
    )
    @set_key_use(KeyUse.IGNORED)
    def post(self, request: Request) -> Response:
        """Carry out one command: 200 with the `replies` that go on, 422 refused, 410 outlived, 409 for a human.

        424 `call_failed`: the provider or carrier did not take the call, and nothing was done.

        `{"ended": true}` answers a fence whose pivot ran, and a step that was lost when the database was set back; 503
        `recovering` says that nothing was done. Any other failure is a 5xx: it is unknown what was done, and
        the same request is sent again.
        """
        outcome = run_command(**parse_body(CommandInput, request))
        match outcome:
            case Ignore():
                return Response({"ended": True})
            case Refused():
                raise Unprocessable(outcome.reason, code=outcome.code)
            case Reject():
                raise Conflict(str(outcome.reason), code="command_rejected")
            case ServiceUnavailable():
                raise Recovering(str(outcome))
            case Exception():
                raise outcome
        return Response({"replies": outcome})


def run_command(task: str, message: dict[str, Any], replies: dict[str, Any]) -> Outcome:
    """Run a task as the broker's worker would, its calls outside included, and return its outcome.

    Raises:
        NotFound: there is no such task.
        OutcomeUnknown: the effect of a call outside is unknown.
        Conflict: the message has contents that cannot be stored, or it is not the orchestrator's.
        CallFailed: the provider or carrier did not accept the call; nothing was done.
        ValidationError: the message does not fit the task.
    """
    found = current_app.tasks.get(task)
    if not isinstance(found, DurableTask) or not found.work.chained:
        raise NotFound(f"{task} is no command of this service")
    work = found.work
    try:
        # The orchestrator calls under the id of the request that began the saga.
        context = Context(read_origin().make_headers())
        delivery = Delivery(context, work.read_message(task, message, replies), replies)
        # The answer is a part of the command, for the log and the failpoints.
        structlog.contextvars.bind_contextvars(task=task)
        return work.conclude(delivery, resolve_outcome(work.handle([delivery])))
    except (
        DataError,
        UnicodeEncodeError,
    ) as error:  # as a message it would be a dead letter: no try will store it
        raise Conflict(f"{task} has contents that cannot be stored.", code="command_rejected") from error
    except (OperationalError, InterfaceError) as error:
        trouble.note_failure(error)
        raise
    except Forged as error:
        raise Conflict(str(error), code="command_rejected") from error
    except msgspec.ValidationError as error:
        raise ValidationError({"message": f"{task} cannot take it: {error}"}) from error


@dataclass(frozen=True)
class Settlement:
    """What was done, as a sentence, and of which saga."""

    result: str
    saga: UUID | None = None


SETTLED = Answer[Settlement](
    lambda made, _: {"settled": made.result},
    Settlement,
    name=attrgetter("result"),
    subject=attrgetter("saga"),
)


ON_THE_ORDERS_PAGE = "two people settle by hand here: ask for it at the order service"


class SettleBarrier(APIView):
    needs: Needs = {"POST": ("messaging.change_barrierrow",)}
    throttle_scope = "verbs"
    refusals: Refusals = {"POST": [OperatorRefused, Refusal(status.HTTP_409_CONFLICT, ANY_CODE)]}

    @extend_schema(request=BarrierSettleInput, responses={200: describe_type(Settled)})
    @answer_once(SETTLED)
    def post(self, request: Request) -> Settlement:
        """Store what a human found out over the open intent of a call outside, as the provider's own answer."""
        given = parse_body(BarrierSettleInput, request)
        if settings.FOUR_EYES and not isinstance(request.user, ServiceUser):
            raise OperatorRefused(ON_THE_ORDERS_PAGE)
        try:
            return Settlement(manual.settle_manually(load_handlers(), **given), given["saga"])
        except (msgspec.ValidationError, KeyError) as error:
            raise ValidationError({"answer": f"it lacks something: {error}"}) from error


class Provider(Protocol):
    """The service outside that sends the events."""

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> CallEvent | None:
        """Verify a webhook and return its event; None when it does not report the end of a call."""


class WebhookApi(APIView):
    """Takes in the events of a `provider`; `describe_outcome` turns an event into a notification. `as_view` takes both.

    Every signed event is answered 200, so that the sender stops repeating it, unless our database did not take it.
    """

    authentication_classes: ClassVar[list[Any]] = []  # type: ignore[misc]
    permission_classes: ClassVar[list[Any]] = []  # type: ignore[misc]
    refusals: Refusals = {"POST": [SignatureInvalid, SignatureStale, EventUnreadable]}

    provider: Callable[[], Provider] = None  # type: ignore[assignment]
    describe_outcome: Callable[[Any, UUID], OutcomeNotification | None] = None  # type: ignore[assignment]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        # Only a service that takes events has their counters.
        metrics.prepare_labels(metrics.WEBHOOKS, [*webhooks.NotificationResult, IGNORED, REFUSED])
        return super().as_view(**initkwargs)

    @extend_schema(request=OpenApiTypes.OBJECT, responses=WebhookOutput, auth=[])
    @set_key_use(KeyUse.IGNORED)
    def post(self, request: Request) -> Response:
        """Take in a signed event; it settles the doubt about one of our calls, or nothing."""
        body = request.body
        if len(body) > MAX_BYTES:
            raise BodyTooLarge
        try:
            event = self.provider().read_event(body, request.headers)
        except WebhookRefused as refused:
            metrics.WEBHOOKS.labels(REFUSED).inc()
            log.warning("event refused", reason=str(refused))
            raise
        key = parse_uuid(event.key) if event else None
        notification = self.describe_outcome(event, key) if key else None
        outcome = (
            webhooks.receive_notification(load_handlers(), notification).value if notification else IGNORED
        )
        metrics.WEBHOOKS.labels(outcome).inc()
        return Response({"outcome": outcome})
