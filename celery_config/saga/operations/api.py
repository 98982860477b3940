"""Flows over HTTP for operators: what is parked and why, what a verb would do, and doing it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.common.identifiers import parse_uuid
from celery_config.common.service_calls import SHARED
from celery_config.common.services import SERVICES
from celery_config.contracts.base import encode
from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceCallError
from celery_config.messaging.idempotency import Answer, answer_once, find_row
from celery_config.messaging.retention import SAGAS_AT_ONCE, SagaEnds
from celery_config.saga.engine.flows import WatchedFlow
from celery_config.saga.engine.saga_flow import SAGAS
from celery_config.saga.models import OperatorAction, SagaInstance, SagaPause, WatchedRow
from celery_config.saga.operations import flow_reader, known_flows, operators, pauses, previews, selectors
from celery_config.saga.operations.effects import Effect
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.history import read_timeline
from celery_config.saga.operations.strip import draw_strip
from celery_config.web.authentication import ServiceUser
from celery_config.web.fields import IdField, JsonObjectField, StrictCharField, WordField
from celery_config.web.filters import check_given_once
from celery_config.web.idempotency_keys import KeyUse, set_key_use
from celery_config.web.inputs import ClientInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs, OutOfScope
from celery_config.web.refusals import Refusals
from celery_config.web.schema import describe_type

SEES: Needs = {"GET": ("saga.view_sagainstance",)}
OPERATES = ("saga.change_sagainstance",)


class WhyInput(ClientInput):
    why = StrictCharField(max_length=1000, help_text="kept with your name")


class SettleInput(WhyInput):
    step = StrictCharField(max_length=80)
    operation = WordField(("do", "undo"))
    answer = JsonObjectField(help_text="what the provider would have answered")


class PauseInput(WhyInput):
    saga = StrictCharField(
        max_length=80, default="", allow_blank=True, help_text="name of the sagas to hold up"
    )
    step = StrictCharField(max_length=80, default="", allow_blank=True, help_text="or of a step")


class ActionOutput(serializers.ModelSerializer[OperatorAction]):
    class Meta:
        model = OperatorAction
        fields = ("saga", "subject", "at", "verb", "what", "by", "why", "effect")


def answer_action(code: int) -> Answer[OperatorAction]:
    """Return how an operator's act answers: with its record."""
    return Answer(
        lambda action, _: ActionOutput(action).data,
        find_row(OperatorAction),
        code,
        subject=lambda action: action.saga_id or parse_uuid(action.subject),
    )


class SagaOutput(serializers.ModelSerializer[SagaInstance]):
    class Meta:
        model = SagaInstance
        fields = (
            "id", "name", "version", "subject", "status", "cause", "drives", "owner", "answer_by",
            "fingerprint", "started_at", "ended_at",
        )  # fmt: skip


class PauseOutput(serializers.ModelSerializer[SagaPause]):
    class Meta:
        model = SagaPause
        fields = ("saga", "step", "since", "by", "why")


class SagaList(generics.ListAPIView[SagaInstance]):
    """Sagas, newest first."""

    serializer_class = SagaOutput
    queryset = SagaInstance.objects.all()
    ordering = "-started_at"
    filterset_fields = ("status", "name", "version", "subject", "fingerprint", "owner")


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


class HappeningOutput(TypedDict):
    """`kind`: began, done, refused, undone, tried, failed, sent again, decided, operator, ended."""

    at: datetime
    lane: str
    kind: str
    text: str


class StandingStep(TypedDict):
    """`tries`: which try it is; `next_at`: when it is tried again, if that is known."""

    step: str
    service: str
    state: str
    tries: str
    next_at: datetime | None
    reason: str


class HistoryOutput(TypedDict):
    sentence: str
    steps: list[StandingStep]
    happened: list[HappeningOutput]


class History(APIView):
    needs = SEES
    model: type[WatchedRow] = SagaInstance

    def get_row(self, pk: UUID) -> Any:
        """Return the row; 404 when there is none."""
        return get_object_or_404(self.model._default_manager, pk=pk)

    @extend_schema(responses={200: describe_type(HistoryOutput)})
    def get(self, request: Request, pk: UUID) -> Response:
        """Where it stands and what happened to it: every try that failed, answer, event, repeat and act of an operator.

        No other service is asked. A step that is tried very often is told ever more rarely.
        """
        row = self.get_row(pk)
        facts = flow_reader.read_flow(row)
        return Response(
            {
                "sentence": explain(facts).text,
                "steps": [
                    {
                        "step": cell.name,
                        "service": cell.service,
                        "state": cell.state.value,
                        "tries": cell.tries,
                        "next_at": cell.next_at,
                        "reason": cell.reason,
                    }
                    for cell in draw_strip(facts)
                ],
                "happened": [encode(each) for each in read_timeline(row, facts).rows],
            }
        )


class Operating(APIView):
    needs: Needs = {"GET": OPERATES, "POST": OPERATES}
    throttle_scope = "verbs"
    refusals: Refusals = {"GET": [OperatorRefused], "POST": [OperatorRefused, ServiceCallError]}
    model: type[WatchedRow] = SagaInstance

    def get_row(self, pk: UUID) -> Any:
        """Return the row; 404 when there is none."""
        return get_object_or_404(self.model._default_manager, pk=pk)

    def act(
        self,
        request: Request,
        pk: UUID,
        perform: Callable[..., OperatorAction],
        input_class: type[WhyInput],
        **arguments: Any,
    ) -> OperatorAction:
        """Perform the act as the user; return its record. 404 if there is no such row."""
        row = self.get_row(pk)
        given = parse_body(input_class, request)
        return perform(row, by=request.user.get_username(), **given, **arguments)


class Verb(Operating):
    @extend_schema(responses={200: describe_type(previews.Preview)})
    def get(self, request: Request, pk: UUID, verb: str) -> Response:
        """What the verb would do now: nothing is changed."""
        return Response(encode(previews.preview(self.get_row(pk), verb)))

    @extend_schema(request=WhyInput, responses={202: ActionOutput})
    @answer_once(answer_action(status.HTTP_202_ACCEPTED))
    def post(self, request: Request, pk: UUID, verb: str) -> OperatorAction:
        """Perform the verb. 409: the status does not allow it."""
        return self.act(request, pk, operators.perform, WhyInput, verb=verb)


class TakeOver(Operating):
    @extend_schema(request=WhyInput, responses={200: ActionOutput})
    @answer_once(answer_action(status.HTTP_200_OK))
    def post(self, request: Request, pk: UUID) -> OperatorAction:
        """Become the owner of what is parked."""
        return self.act(request, pk, operators.take_over, WhyInput)


class Settle(Operating):
    @extend_schema(request=SettleInput, responses={200: ActionOutput})
    @answer_once(answer_action(status.HTTP_200_OK))
    def post(self, request: Request, pk: UUID) -> OperatorAction:
        """Say what became of a call outside, when no service can; bring it to an end afterwards."""
        return self.act(request, pk, operators.settle_by_hand, SettleInput)


def operator_paths(
    name: str, flow: WatchedFlow[Any, Any], *, history: type[History] = History
) -> list[URLPattern]:
    """Return the addresses at which operators act on a flow.

    Args:
        name: of one row; the addresses have its plural.
        history: a view that finds the rows in another way.
    """
    one, model = f"{name}s/<uuid:pk>", flow.model
    return [
        path(f"{one}/history/", history.as_view(model=model), name=f"{name}-history"),
        path(f"{one}/take-over/", TakeOver.as_view(model=model), name=f"{name}-take-over"),
        path(f"{one}/settle/", Settle.as_view(model=model), name=f"{name}-settle"),
        *(
            path(f"{one}/{verb}/", Verb.as_view(model=model), {"verb": verb}, name=f"{name}-{verb}")
            for verb in flow.verbs
        ),
    ]


class Pauses(APIView):
    needs: Needs = {"GET": ("saga.view_sagapause",), "POST": OPERATES, "DELETE": OPERATES}
    throttle_scope = "verbs"
    refusals: Refusals = {"POST": [OperatorRefused], "DELETE": [OperatorRefused]}

    @extend_schema(responses={200: PauseOutput(many=True)})
    def get(self, request: Request) -> Response:
        """What is held up."""
        return Response(PauseOutput(SagaPause.objects.order_by("since"), many=True).data)

    @extend_schema(request=PauseInput, responses={201: ActionOutput})
    @answer_once(answer_action(status.HTTP_201_CREATED))
    def post(self, request: Request) -> OperatorAction:
        """Let no new saga of a name, or with a step, start; running ones go on."""
        return pauses.pause(**parse_body(PauseInput, request), by=request.user.get_username())

    @extend_schema(request=PauseInput, responses={200: ActionOutput})
    def delete(self, request: Request) -> Response:
        """End a pause."""
        done = pauses.unpause(**parse_body(PauseInput, request), by=request.user.get_username())
        return Response(ActionOutput(done).data)


urlpatterns = [
    path("sagas/", SagaList.as_view(), name="sagas"),
    path("sagas/known/", KnownFlows.as_view(), name="sagas-known"),
    path("sagas/parked/", ParkedGroups.as_view(), name="sagas-parked"),
    path("sagas/pauses/", Pauses.as_view(), name="saga-pauses"),
    path("sagas/ended/", EndedSagas.as_view(), name="sagas-ended"),
    path("sagas/<uuid:pk>/effects/", SagaEffects.as_view(), name="saga-effects"),
    *operator_paths("saga", SAGAS),
]
