"""The messaging API that each service offers the others: event feed, barrier rows, state of the outbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypedDict
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.common.identifiers import min_uuid7_at, parse_uuid
from celery_config.common.services import SERVICES
from celery_config.contracts.privacy import SECRET_FIELDS, hide_private
from celery_config.errors import Recovering
from celery_config.messaging import announcing, epochs, retention, trouble
from celery_config.messaging.announcing import AskedEvent
from celery_config.messaging.barrier.store import MOST_SAGAS
from celery_config.messaging.feed import AFTER, open_feed
from celery_config.messaging.models import SET_ASIDE, BarrierRow, OutboxMessage
from celery_config.messaging.outbox.relay import oldest_unpublished_seconds
from celery_config.messaging.outbox.set_aside import MOST_SETTLED, count_set_aside, settle_set_aside
from celery_config.web.authentication import ServiceUser
from celery_config.web.fields import IdField, StrictCharField, StrictIntegerField, WordField
from celery_config.web.filters import ParameterFilter, StrictFilterBackend, check_given_once
from celery_config.web.idempotency_keys import KeyUse, set_key_use
from celery_config.web.inputs import ClientInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import find_table_needs
from celery_config.web.refusals import Refusals
from celery_config.web.schema import describe_type

FEED_LIMIT = 1000
ONE_ID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ASKED = ("customer", "amount", "currency", "refund", "refund_amount")
"""What of a request at a provider proves what was asked; nothing that is secret."""


class RefusedWhileRecovering(APIView):
    """What clients change, and only clients: refused with 503 `recovering` while a restored database is recovered.

    What began before, the other services and the operators go on.
    """

    refusals: Refusals = dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), (Recovering,))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE_METHODS:
            epochs.check_not_recovering()


def hide_tokens(payload: dict[str, Any]) -> dict[str, Any]:
    """An event without payment tokens: a reader of the feed pays nothing."""
    data = payload.get("data")
    if not isinstance(data, dict) or not {*SECRET_FIELDS} & data.keys():
        return payload
    return {**payload, "data": {**data, **{name: "" for name in SECRET_FIELDS if name in data}}}


class FeedEntry(TypedDict):
    """An event as the broker had it, but without payment tokens, and for people without personal data."""

    cursor: str
    event: dict[str, Any]


class EventPage(TypedDict):
    """`more`: whether there are further events; a cursor of another `epoch` begins again."""

    events: list[FeedEntry]
    more: bool
    epoch: str


class OutboxDescription(TypedDict):
    oldest_unpublished_seconds: float
    set_aside: int
    recovering: bool
    unanswered: str


class TroubleDescription(TypedDict):
    trouble: list[str]


class EventFeed(APIView):
    """Events in the order in which their transactions became visible, for readers that catch up (rule 20, the feed)."""

    needs = find_table_needs(OutboxMessage)

    @extend_schema(parameters=[AFTER], responses={200: describe_type(EventPage)})
    def get(self, request: Request) -> Response:
        """Return only rows below every running transaction, because ids commit out of order."""
        check_given_once(request)
        feed = open_feed(request.query_params.get("after", ""))
        hide = hide_tokens if isinstance(request.user, ServiceUser) else hide_private
        found = [
            {"cursor": feed.make_cursor(transaction, row), "event": hide(payload)}
            for transaction, row, payload in feed.events.values_list("transaction", "id", "payload")[
                :FEED_LIMIT
            ]
        ]
        return Response({"events": found, "more": len(found) == FEED_LIMIT, "epoch": feed.epoch.token})


class BarrierSerializer(serializers.ModelSerializer[BarrierRow]):
    order = serializers.SerializerMethodField()
    asked = serializers.SerializerMethodField()

    class Meta:
        model = BarrierRow
        fields = (
            "key", "saga", "order", "asked", "step", "command", "action", "undo", "reply", "note", "tries", "tried",
            "last_error", "next_try_at", "created_at", "updated_at",
        )  # fmt: skip

    def get_order(self, row: BarrierRow) -> str | None:
        """The order that a step at a provider was asked for; others do not name it."""
        order = (row.request or {}).get("order")
        return str(order) if order else None

    def get_asked(self, row: BarrierRow) -> dict[str, Any]:
        """For whom and how much a step at a provider was asked; others say nothing."""
        request = row.request or {}
        return {name: request[name] for name in ASKED if name in request}


class SagasSince(ParameterFilter):
    """`?began_since=`: only rows of sagas that began then or later."""

    name = "began_since"
    description = "only of sagas that began then or later, in ISO 8601; without an offset UTC"
    schema = {"type": "string", "format": "date-time"}

    def narrow(self, request: Request, queryset: Any, text: str) -> Any:
        return queryset.filter(saga__gte=min_uuid7_at(read_time(text, self.name)))


class SagasNamed(ParameterFilter):
    """`?sagas=`: only rows of these sagas."""

    name = "sagas"
    description = f"only of these sagas: at most {MOST_SAGAS} ids, with commas between them"
    schema = {
        "type": "string",
        "pattern": f"^{ONE_ID}(,{ONE_ID}){{0,{MOST_SAGAS - 1}}}$",
        "examples": [str(UUID(int=1))],
    }

    def narrow(self, request: Request, queryset: Any, text: str) -> Any:
        ids = [parse_uuid(each) for each in text.split(",")]
        if None in ids or len(ids) > MOST_SAGAS:
            raise ValidationError({self.name: f"must be at most {MOST_SAGAS} ids, with commas between them"})
        return queryset.filter(saga__in=ids)


class BarrierList(generics.ListAPIView[BarrierRow]):
    """The outcome of every step here, for the audit and for operators who decide about a parked saga."""

    serializer_class = BarrierSerializer
    queryset = BarrierRow.objects.all()
    filterset_fields = ("saga", "step", "action", "undo")
    filter_backends = (StrictFilterBackend, SagasSince, SagasNamed)


def read_time(text: str, name: str = "") -> datetime:
    """
    Args:
        name: of the parameter, for the error; a field knows its own.

    Raises:
        ValidationError: this is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        fault = "must be a time in ISO 8601"
        raise ValidationError({name: fault} if name else fault) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class OutboxState(APIView):
    """How far the relay is."""

    needs = find_table_needs(OutboxMessage)

    @extend_schema(responses={200: describe_type(OutboxDescription)})
    def get(self, request: Request) -> Response:
        """For how long the oldest unpublished row could have been sent; how many rows cannot be sent and are set aside;
        whether the database is being recovered; why old barrier rows are kept, if it is not known whether their saga
        has ended.
        """
        return Response(
            {
                "oldest_unpublished_seconds": oldest_unpublished_seconds(),
                "set_aside": count_set_aside(),
                "recovering": epochs.is_recovering(),
                "unanswered": retention.describe_unanswered(),
            }
        )


@extend_schema_field({"type": "string", "format": "date-time", "maxLength": 40})
class TimeTextField(StrictCharField):
    """A time as a text, which the input reads."""


class AskedEventInput(serializers.Serializer[Any]):
    id = IdField()
    saga = IdField(required=False, allow_null=True, default=None)
    time = TimeTextField(max_length=40, help_text="the event's own, in ISO 8601")

    def validate_time(self, text: str) -> datetime:
        return read_time(text)


class AgainInput(ClientInput):
    receiver = WordField(tuple(SERVICES), help_text="the service that refused them")
    events = serializers.ListField(
        child=AskedEventInput(), allow_empty=False, max_length=announcing.MOST_ASKED
    )


class LostDescription(TypedDict):
    """`lost`: the ids of those that are not kept any more."""

    lost: list[UUID]


class EventsAgain(APIView):
    """Events that one service refused; for the order service alone, which keeps them as dead letters."""

    @extend_schema(request=AgainInput, responses={200: describe_type(LostDescription)})
    @set_key_use(KeyUse.IGNORED)
    def post(self, request: Request) -> Response:
        """Announce these events again, as this service keeps them, to that service alone. A repeat is harmless."""
        given = parse_body(AgainInput, request)
        asked = [AskedEvent(**each) for each in given["events"]]
        return Response({"lost": sorted(announcing.announce_again(asked, given["receiver"]))})


class SetAsideOutput(serializers.ModelSerializer[OutboxMessage]):
    class Meta:
        model = OutboxMessage
        fields = ("id", "kind", "name", "saga", "payload", "fault", "created_at")


class SettleSetAsideInput(ClientInput):
    act = WordField(("send again", "dismiss"))
    ids = serializers.ListField(
        child=StrictIntegerField(min_value=1, max_value=2**63 - 1), allow_empty=False, max_length=MOST_SETTLED
    )
    by = StrictCharField(max_length=150, help_text="who says so")
    why = StrictCharField(max_length=1000)


class SettledDescription(TypedDict):
    """`settled`: the ids of those that were set aside until now."""

    settled: list[int]


class SetAsideList(generics.ListAPIView[OutboxMessage]):
    """The outbox rows that cannot be sent and were set aside; for the order service, which shows those of all."""

    serializer_class = SetAsideOutput
    ordering = "id"

    def get_queryset(self) -> Any:
        """Not an attribute: what people may see of the table they see in the admin, without tokens."""
        return OutboxMessage.objects.filter(SET_ASIDE)

    @extend_schema(request=SettleSetAsideInput, responses={200: describe_type(SettledDescription)})
    @set_key_use(KeyUse.IGNORED)
    def post(self, request: Request) -> Response:
        """Send rows again, or let them be, at an operator's word. A repeat finds nothing more to do."""
        given = parse_body(SettleSetAsideInput, request)
        ids, act = given.pop("ids"), given.pop("act")
        return Response({"settled": settle_set_aside(ids, act, **given)})


class TroubleList(APIView):
    """What keeps the service's messages from moving; for services alone."""

    @extend_schema(responses={200: describe_type(TroubleDescription)})
    def get(self, request: Request) -> Response:
        """What an order that waits for this service may wait for, in plain words: messages that its relay does not
        send, that fail for a reason of its own database, or that wait for a handler. Nothing of what is outside.
        """
        return Response({"trouble": list(trouble.find_all())})
