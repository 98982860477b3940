"""Flows over HTTP for operators and services: what is parked and why, what a flow holds, which have ended."""

from __future__ import annotations

from typing import Any, TypedDict
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.common.service_calls import SHARED
from celery_config.common.services import SERVICES
from celery_config.contracts.base import encode
from celery_config.errors import OperatorRefused
from celery_config.messaging.retention import SAGAS_AT_ONCE, SagaEnds
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import SagaInstance
from celery_config.saga.operations import known_flows, selectors
from celery_config.saga.operations.acts_api import Pauses, operator_paths
from celery_config.saga.operations.effects import Effect
from celery_config.saga.operations.history_api import SEES
from celery_config.web.authentication import ServiceUser
from celery_config.web.fields import IdField
from celery_config.web.filters import check_given_once
from celery_config.web.idempotency_keys import KeyUse, set_key_use
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import OutOfScope
from celery_config.web.refusals import Refusals
from celery_config.web.schema import describe_type


class SagaOutput(serializers.ModelSerializer[SagaInstance]):
    class Meta:
        model = SagaInstance
        fields = (
            "id", "name", "version", "subject", "status", "cause", "drives", "owner", "answer_by",
            "fingerprint", "started_at", "ended_at",
        )  # fmt: skip


class SagaList(generics.ListAPIView[SagaInstance]):
    """Sagas, newest first."""

    serializer_class = SagaOutput
    queryset = SagaInstance.objects.all()
    ordering = "-started_at"
    filterset_fields = ("status", "name", "version", "subject", "fingerprint", "owner")


class SagaShow(generics.RetrieveAPIView[SagaInstance]):
    """One saga. Its history says in words where it stands."""

    serializer_class = SagaOutput
    queryset = SagaInstance.objects.all()


class ParkedOutput(TypedDict):
    groups: list[selectors.ParkedGroup]


class EffectsOutput(TypedDict):
    effects: list[Effect]
    fault: str


class KnownStep(TypedDict):
    """`logged` and `reply`: what the log says of it; `fields`: those of the command, as far as they are known."""

    step: str
    command: str
    logged: str
    reply: dict[str, Any] | None
    fields: dict[str, Any]


class KnownFlow(TypedDict):
    saga: UUID
    order: str
    name: str
    status: str
    steps: list[KnownStep]


class KnownFlowsOutput(TypedDict):
    """`next`: the `after` of the next page; empty: there is none."""

    flows: list[KnownFlow]
    next: str


class ParkedGroups(APIView):
    needs = SEES

    @extend_schema(responses={200: describe_type(ParkedOutput)})
    def get(self, request: Request) -> Response:
        """What is parked, grouped by what parked it; the most sagas first."""
        return Response({"groups": [encode(group) for group in selectors.read_parked_groups()]})


class SagaEndsInput(serializers.Serializer[Any]):
    sagas = serializers.ListField(
        child=IdField(), max_length=SAGAS_AT_ONCE, help_text="ids of sagas, or of choreographed orders"
    )


class EndedSagas(APIView):
    """For services alone."""

    @extend_schema(request=SagaEndsInput, responses={200: describe_type(SagaEnds)})
    @set_key_use(KeyUse.IGNORED)
    def post(self, request: Request) -> Response:
        """Which of these sagas `ended` a while ago, so that no service needs to remember them, and which are `open`."""
        return Response(encode(selectors.read_ends(parse_body(SagaEndsInput, request)["sagas"])))


class SagaEffects(APIView):
    needs = SEES
    refusals: Refusals = {"GET": [OperatorRefused]}

    @extend_schema(responses={200: describe_type(EffectsOutput)})
    def get(self, request: Request, pk: UUID) -> Response:
        """Each live or doubtful effect with its holder, amount and expiry; asks every participant.

        `fault` says why the saga's data cannot be read, if so: amounts may be missing then.
        """
        row = get_object_or_404(SagaInstance, pk=pk)
        effects, fault = selectors.read_effects(row)
        return Response({"effects": [encode(effect) for effect in effects], "fault": fault})


class KnownFlows(APIView):
    """For services alone."""

    @extend_schema(
        parameters=[
            OpenApiParameter("service", str, required=True, enum=[*SERVICES], description="whose steps"),
            OpenApiParameter(
                "after",
                {"type": "string", "pattern": known_flows.PLACE},
                description="`next` of the page before; empty: the first page",
            ),
        ],
        responses={200: describe_type(KnownFlowsOutput)},
    )
    def get(self, request: Request) -> Response:
        """What is known of a participant's steps in every flow, oldest first: for its recovery from an older backup.

        A service learns of its own steps alone: those of others hold addresses, and what pays.
        """
        check_given_once(request)
        service = request.query_params.get("service", "")
        if service not in SERVICES:
            raise ValidationError({"service": f"must be one of {', '.join(SERVICES)}"})
        user = request.user
        if isinstance(user, ServiceUser) and user.caller not in (service, SHARED):
            raise OutOfScope(f"{user.get_username()} may not see the steps of {service!r}.")
        return Response(known_flows.read_page(service, request.query_params.get("after", "")))


urlpatterns = [
    path("sagas/", SagaList.as_view(), name="sagas"),
    path("sagas/known/", KnownFlows.as_view(), name="sagas-known"),
    path("sagas/parked/", ParkedGroups.as_view(), name="sagas-parked"),
    path("sagas/pauses/", Pauses.as_view(), name="saga-pauses"),
    path("sagas/ended/", EndedSagas.as_view(), name="sagas-ended"),
    path("sagas/<uuid:pk>/", SagaShow.as_view(), name="saga"),
    path("sagas/<uuid:pk>/effects/", SagaEffects.as_view(), name="saga-effects"),
    *operator_paths("saga", SAGAS),
]
