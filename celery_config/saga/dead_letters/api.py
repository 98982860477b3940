"""Dead letters over HTTP: the groups, the list, one letter, what may be done about it, and doing it."""

from __future__ import annotations

from typing import Any, TypedDict

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.contracts.base import encode
from celery_config.errors import OperatorRefused
from celery_config.messaging.dealt_with_api import DealtWithList
from celery_config.messaging.idempotency import answer_once
from celery_config.saga.dead_letters import reading, remedies
from celery_config.saga.dead_letters.reading import BodyField, Group
from celery_config.saga.dead_letters.remedies import Offer
from celery_config.saga.dead_letters.showing import show_letter
from celery_config.saga.models import DeadLetter, LetterAct, OperatorAction
from celery_config.saga.operations.acts_api import ActionOutput, WhyInput, answer_action
from celery_config.saga.operations.permissions import CHANGES_LETTERS, PERMISSIONS
from celery_config.web.idempotency_keys import KeyUse, set_key_use
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.refusals import Refusals
from celery_config.web.schema import describe_type

SEES: Needs = {"GET": ("saga.view_deadletter",)}
ACTS = (CHANGES_LETTERS,)
NEEDED = {act: tuple({CHANGES_LETTERS, PERMISSIONS[act]}) for act in LetterAct}
"""Who rebuilds drives a flow."""


class LetterLine(serializers.ModelSerializer[DeadLetter]):
    class Meta:
        model = DeadLetter
        fields = (
            "id", "received_at", "reason", "queue", "task", "task_id", "saga", "step", "operation", "fault",
            "consequence", "fingerprint", "act", "became", "dealt_with_at", "dealt_with_by", "dealt_with_why",
        )  # fmt: skip

    def to_representation(self, instance: DeadLetter) -> dict[str, Any]:
        shown = {**reading.list_names(instance), "fault": reading.show_fault(instance)}
        return {**super().to_representation(instance), **shown}


class GroupsOutput(TypedDict):
    groups: list[Group]


class LetterBody(TypedDict):
    """What no contract knows, or marks as personal, is hidden until somebody asks for it with a reason."""

    body: list[BodyField]


class LetterOutput(LetterBody):
    """`letter`: as in the list; `offers`: what may be done, the best first."""

    letter: dict[str, Any]
    offers: list[Offer]


class LetterList(DealtWithList):
    """Dead letters, newest first."""

    serializer_class = LetterLine
    queryset = DeadLetter.objects.defer("body", "headers")
    ordering = "-id"
    filterset_fields = ("fingerprint", "task_id", "saga")
    needs = SEES


class LetterGroups(APIView):
    needs = SEES

    @extend_schema(responses={200: describe_type(GroupsOutput)})
    def get(self, request: Request) -> Response:
        """Open letters, grouped by task and fault; the largest groups first, at most a hundred."""
        return Response({"groups": [encode(group) for group in reading.read_groups()]})


class LetterShow(APIView):
    needs = SEES

    @extend_schema(responses={200: describe_type(LetterOutput)})
    def get(self, request: Request, pk: int) -> Response:
        """One letter with its body as a table, and what may be done about it."""
        letter = get_object_or_404(DeadLetter, pk=pk)
        return Response(
            {
                "letter": LetterLine(letter).data,
                "body": [encode(each) for each in reading.read_body(letter)],
                "offers": [encode(each) for each in remedies.list_offers(letter)],
            }
        )


class LetterPersonal(APIView):
    needs: Needs = {"POST": ACTS}
    throttle_scope = "verbs"
    refusals: Refusals = {"POST": [OperatorRefused]}

    @extend_schema(request=WhyInput, responses={200: describe_type(LetterBody)})
    @set_key_use(KeyUse.IGNORED)
    def post(self, request: Request, pk: int) -> Response:
        """The body with what is hidden of it, and the letter's headers. The trail keeps who asked, and why."""
        letter = get_object_or_404(DeadLetter, pk=pk)
        why = parse_body(WhyInput, request)["why"]
        fields = show_letter(letter, by=request.user.get_username(), why=why)
        return Response({"body": [encode(each) for each in fields]}, headers={"Cache-Control": "no-store"})


class LetterVerb(APIView):
    throttle_scope = "verbs"
    refusals: Refusals = {"POST": [OperatorRefused]}
    act = LetterAct.DISMISS

    @property
    def needs(self) -> Needs:
        return {"POST": NEEDED[self.act]}

    @extend_schema(request=WhyInput, responses={202: ActionOutput})
    @answer_once(answer_action(status.HTTP_202_ACCEPTED))
    def post(self, request: Request, pk: int) -> OperatorAction:
        """Act on the letter. 409: the act does not fit it, and nothing was changed."""
        letter = get_object_or_404(DeadLetter, pk=pk)
        given = parse_body(WhyInput, request)
        return remedies.act_on(letter, self.act, by=request.user.get_username(), **given)


def name_path(act: str) -> str:
    return act.replace(" ", "-")


urlpatterns = [
    path("dead-letters/", LetterList.as_view(), name="dead-letters"),
    path("dead-letters/groups/", LetterGroups.as_view(), name="dead-letter-groups"),
    path("dead-letters/<int:pk>/", LetterShow.as_view(), name="dead-letter"),
    path("dead-letters/<int:pk>/show/", LetterPersonal.as_view(), name="dead-letter-show"),
    *(
        path(
            f"dead-letters/<int:pk>/{name_path(act)}/",
            LetterVerb.as_view(act=act),
            name=f"dead-letter-{name_path(act)}",
        )
        for act in LetterAct
    ),
]
