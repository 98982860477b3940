"""Holds over HTTP: what is held, what a hold would hold, holding, letting go, and the list that services read."""

from __future__ import annotations

from typing import Any, ClassVar, TypedDict
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.contracts.base import encode
from celery_config.errors import OperatorRefused
from celery_config.messaging import epochs
from celery_config.messaging.holds.hold_list import Listing, read_row
from celery_config.messaging.idempotency import answer_once
from celery_config.saga.batches.api import TWO_CHOICES, find_kind, read_filters
from celery_config.saga.holds import steering
from celery_config.saga.holds.choosing import (
    MOST_FLOWS,
    Target,
    choose,
    choose_flows,
    choose_ids,
    count_held_now,
)
from celery_config.saga.holds.models import Hold
from celery_config.saga.holds.reading import count_held_flows
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations.acts_api import ActionOutput, WhyInput, answer_action
from celery_config.saga.operations.permissions import PERMISSIONS
from celery_config.saga.states import Status
from celery_config.web.fields import FiniteFloatField, IdField, StrictBooleanField, StrictCharField, WordField
from celery_config.web.filters import parse_parameters
from celery_config.web.inputs import ClientInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.refusals import Refusals
from celery_config.web.schema import describe_type

NAMED = ("participant", "provider", "step")
ONE_CHOICE = f"say what to hold: one of {', '.join(NAMED)}, or flows by ids or filters"


class TargetInput(ClientInput):
    """What is held: a participant, a provider, a step, or flows by ids or filters."""

    participant = StrictCharField(max_length=40, required=False)
    provider = StrictCharField(max_length=40, required=False)
    step = StrictCharField(max_length=80, required=False, help_text="its name in the definitions")
    ids = serializers.ListField(child=IdField(), required=False, allow_empty=False, max_length=MOST_FLOWS)
    kind = StrictCharField(max_length=80, default="saga.sagainstance", help_text="of the flows, for filters")
    status = WordField([each.value for each in Status], required=False)
    name = StrictCharField(max_length=80, required=False, help_text="of sagas")
    fingerprint = StrictCharField(max_length=200, required=False)
    owner = StrictCharField(max_length=150, required=False)
    undos = StrictBooleanField(default=False, help_text="whether undos and fences are held, too")


class HoldInput(TargetInput, WhyInput):
    pass


class LetGoInput(WhyInput):
    per_second = FiniteFloatField(
        required=False,
        allow_null=True,
        min_value=steering.SLOWEST,
        max_value=steering.FASTEST,
        help_text="flows a second, the oldest first; null: all at once",
    )


class PreviewOutput(TypedDict):
    label: str
    would_hold: int


class HoldOutput(serializers.ModelSerializer[Hold]):
    held = serializers.SerializerMethodField()

    class Meta:
        model = Hold
        fields = (
            "id", "kind", "name", "label", "undos", "by", "why", "since", "per_second", "let_go_to", "ended_at",
            "held",
        )  # fmt: skip

    @extend_schema_field(serializers.IntegerField())
    def get_held(self, hold: Hold) -> int:
        """How many flows it holds."""
        known = self.root.__dict__
        if "counted" not in known:
            known["counted"] = count_held_flows()
        return int(known["counted"].get(hold.pk, 0))


def read_target(given: dict[str, Any]) -> Target:
    """Take what is to be held out of a body.

    Raises:
        OperatorRefused: nothing, or more than one thing, is named; or what is named is not there.
    """
    named = {kind: given.pop(kind) for kind in NAMED if kind in given}
    ids, flow = given.pop("ids", []), find_kind(given.pop("kind"), flows_only=True)
    filters = read_filters(flow, given)
    if len(named) + bool(ids) + bool(filters) != 1:
        raise OperatorRefused(ONE_CHOICE if named or not (ids or filters) else TWO_CHOICES)
    for kind, name in named.items():
        return choose(kind, name)
    return choose_ids(ids) if ids else choose_flows(flow.model._default_manager.filter(**filters))


class HoldsApi(generics.ListAPIView[Hold]):
    """What is and was held, newest first."""

    serializer_class = HoldOutput
    queryset = Hold.objects.all()
    ordering = "-since"
    filterset_fields = ("kind", "name")
    needs: Needs = {"GET": ("holds.view_hold",), "POST": (PERMISSIONS["hold"],)}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}

    @extend_schema(request=HoldInput, responses={201: ActionOutput})
    @answer_once(answer_action(status.HTTP_201_CREATED))
    def post(self, request: Request) -> OperatorAction:
        """Hold a participant, a provider, a step or flows while they run. Undos and fences go on unless named."""
        given = parse_body(HoldInput, request)
        undos, why = given.pop("undos"), given.pop("why")
        return steering.hold(read_target(given), undos=undos, by=request.user.get_username(), why=why)


class HoldPreview(APIView):
    needs: Needs = {"POST": (PERMISSIONS["hold"],)}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}

    @extend_schema(request=TargetInput, responses={200: describe_type(PreviewOutput)})
    def post(self, request: Request) -> Response:
        """How many flows under way would be held now: nothing is changed."""
        given = parse_body(TargetInput, request)
        undos, target = given.pop("undos"), read_target(given)
        return Response({"label": target.label, "would_hold": count_held_now(target, undos=undos)})


class LetGo(APIView):
    needs: Needs = {"POST": (PERMISSIONS["let go"],)}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}

    @extend_schema(request=LetGoInput, responses={200: ActionOutput})
    @answer_once(answer_action(status.HTTP_200_OK))
    def post(self, request: Request, pk: UUID) -> OperatorAction:
        """Let go of all at once, or of so many flows a second. 409: the hold has ended."""
        get_object_or_404(Hold, pk=pk)
        return steering.let_go(pk, by=request.user.get_username(), **parse_body(LetGoInput, request))


class KnownParameters(serializers.Serializer[Any]):
    epoch = serializers.CharField(
        required=False, allow_blank=True, max_length=64, help_text="of the list that the service knows"
    )
    version = serializers.IntegerField(required=False, min_value=0, help_text="of that list")


class KnownHolds(APIView):
    """For services alone."""

    @extend_schema(parameters=[KnownParameters], responses={200: describe_type(Listing)})
    def get(self, request: Request) -> Response:
        """What is held, with the version of the list; `holds` is null if the service knows this version."""
        given = parse_parameters(KnownParameters, request)
        row, epoch = read_row(), epochs.current().token
        known = (given.get("epoch"), given.get("version"))
        holds = None if known == (epoch, row.version) else row.content
        return Response(encode(Listing(epoch, row.version, holds)))


urlpatterns = [
    path("holds/", HoldsApi.as_view(), name="holds"),
    path("holds/preview/", HoldPreview.as_view(), name="hold-preview"),
    path("holds/known/", KnownHolds.as_view(), name="holds-known"),
    path("holds/<uuid:pk>/let-go/", LetGo.as_view(), name="hold-let-go"),
]
