"""Acts of operators on flows over HTTP: what a verb would do, doing it, and pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.common.identifiers import parse_uuid
from celery_config.contracts.base import encode
from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceCallError
from celery_config.messaging.idempotency import Answer, answer_once, find_row
from celery_config.saga.engine.flows import WatchedFlow
from celery_config.saga.models import OperatorAction, SagaInstance, SagaPause, WatchedRow
from celery_config.saga.operations import operators, pauses, previews, timing
from celery_config.saga.operations.history_api import History
from celery_config.saga.operations.permissions import PERMISSIONS
from celery_config.saga.operations.timing import LONGEST_MINUTES
from celery_config.web.fields import JsonObjectField, StrictCharField, StrictIntegerField, WordField
from celery_config.web.inputs import ClientInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.refusals import Refusals
from celery_config.web.schema import describe_type


class WhyInput(ClientInput):
    why = StrictCharField(max_length=1000, help_text="kept with your name")


class SettleInput(WhyInput):
    step = StrictCharField(max_length=80)
    operation = WordField(("do", "undo"))
    answer = JsonObjectField(help_text="what the provider would have answered")


class DeadlineInput(WhyInput):
    minutes = StrictIntegerField(min_value=1, max_value=LONGEST_MINUTES, help_text="from now, in saga time")


class PauseInput(WhyInput):
    saga = StrictCharField(
        max_length=80, default="", allow_blank=True, help_text="name of the sagas to hold up"
    )
    step = StrictCharField(max_length=80, default="", allow_blank=True, help_text="or of a step")


class ActionOutput(serializers.ModelSerializer[OperatorAction]):
    class Meta:
        model = OperatorAction
        fields = ("saga", "subject", "at", "verb", "what", "by", "asked_by", "why", "effect")


def answer_action(code: int) -> Answer[OperatorAction]:
    """Return how an operator's act answers: with its record."""
    return Answer(
        lambda action, _: ActionOutput(action).data,
        find_row(OperatorAction),
        code,
        subject=lambda action: action.saga_id or parse_uuid(action.subject),
    )


class PauseOutput(serializers.ModelSerializer[SagaPause]):
    class Meta:
        model = SagaPause
        fields = ("saga", "step", "since", "by", "why")


class Operating(APIView):
    needs: Needs = {}
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
    needs: Needs = {"POST": (PERMISSIONS["take over"],)}

    @extend_schema(request=WhyInput, responses={200: ActionOutput})
    @answer_once(answer_action(status.HTTP_200_OK))
    def post(self, request: Request, pk: UUID) -> OperatorAction:
        """Become the owner of what is parked."""
        return self.act(request, pk, operators.take_over, WhyInput)


class Settle(Operating):
    needs: Needs = {"POST": (PERMISSIONS["settle by hand"],)}

    @extend_schema(request=SettleInput, responses={200: ActionOutput})
    @answer_once(answer_action(status.HTTP_200_OK))
    def post(self, request: Request, pk: UUID) -> OperatorAction:
        """Say what became of a call outside, when no service can; bring it to an end afterwards.

        With FOUR_EYES it is asked for: another person approves it at /api/approvals/.
        """
        return self.act(request, pk, operators.settle_by_hand, SettleInput)


class LookNow(Operating):
    needs: Needs = {"POST": (PERMISSIONS["look now"],)}

    @extend_schema(request=WhyInput, responses={202: ActionOutput})
    @answer_once(answer_action(status.HTTP_202_ACCEPTED))
    def post(self, request: Request, pk: UUID) -> OperatorAction:
        """Let the watchdog look at it in the next second. 409: it has ended, is parked, or is held."""
        return self.act(request, pk, timing.look_now, WhyInput)


class Deadline(Operating):
    needs: Needs = {"POST": (PERMISSIONS["deadline"],)}

    @extend_schema(request=DeadlineInput, responses={200: ActionOutput})
    @answer_once(answer_action(status.HTTP_200_OK))
    def post(self, request: Request, pk: UUID) -> OperatorAction:
        """Change its deadline. 409: it has none, or none any more."""
        return self.act(request, pk, timing.move_deadline, DeadlineInput)


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
        path(f"{one}/look/", LookNow.as_view(model=model), name=f"{name}-look"),
        path(f"{one}/deadline/", Deadline.as_view(model=model), name=f"{name}-deadline"),
        *(
            path(
                f"{one}/{verb}/",
                Verb.as_view(model=model, needs=dict.fromkeys(("GET", "POST"), (PERMISSIONS[verb],))),
                {"verb": verb},
                name=f"{name}-{verb}",
            )
            for verb in flow.verbs
        ),
    ]


class Pauses(APIView):
    needs: Needs = {
        "GET": ("saga.view_sagapause",),
        "POST": (PERMISSIONS["pause"],),
        "DELETE": (PERMISSIONS["unpause"],),
    }
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
