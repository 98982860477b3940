"""Rows of the outbox that cannot be sent, over HTTP: which were set aside and why, and sending one again."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import transaction
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from celery_config.errors import OperatorRefused
from celery_config.messaging.dealt_with_api import DealtWithInput
from celery_config.messaging.models import SET_ASIDE, OutboxMessage
from celery_config.messaging.outbox import publishing
from celery_config.web.idempotency_keys import KeyUse, set_key_use
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.refusals import Refusals


class SetAsideOutput(serializers.ModelSerializer[OutboxMessage]):
    class Meta:
        model = OutboxMessage
        fields = ("id", "kind", "name", "saga", "due_at", "fault", "created_at")


class SetAsideList(generics.ListAPIView[OutboxMessage]):
    """Messages that cannot be sent and were set aside, the oldest first."""

    serializer_class = SetAsideOutput
    queryset = OutboxMessage.objects.filter(SET_ASIDE)
    ordering = "id"


class SendAgain(generics.GenericAPIView[OutboxMessage]):
    serializer_class = SetAsideOutput
    queryset = OutboxMessage.objects.all()
    needs: Needs = {"POST": ("messaging.change_outboxmessage",)}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}

    @extend_schema(request=DealtWithInput, responses={200: SetAsideOutput})
    @set_key_use(KeyUse.IGNORED)
    def post(self, request: Request, pk: Any) -> Response:
        """Send it again, once its fault is mended. 409: it was not set aside, or is sent again already."""
        given = parse_body(DealtWithInput, request)
        row, user = self.get_object(), cast("User", request.user)
        if row.fault is None or row.published_at is not None:
            raise OperatorRefused("the message is not set aside: nothing is to be sent again")
        with transaction.atomic():
            LogEntry.objects.log_actions(
                user.pk, [row], CHANGE, f"sent again: {given['why']}; it was set aside: {row.fault}",
                single_object=True,
            )  # fmt: skip
            publishing.send_again([row], by=request.user.get_username(), why=given["why"])
        return Response(SetAsideOutput(row).data)


urlpatterns = [
    path("outbox/set-aside/", SetAsideList.as_view(), name="set-aside"),
    path("outbox/set-aside/<int:pk>/send-again/", SendAgain.as_view(), name="send-again"),
]
