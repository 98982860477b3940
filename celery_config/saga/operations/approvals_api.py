"""Requests for an approval over HTTP: see them, approve and decline."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.views import APIView

from celery_config.errors import OperatorRefused
from celery_config.http.service_client import ServiceCallError
from celery_config.messaging.idempotency import answer_once
from celery_config.saga.approvals.models import ApprovalRequest
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations import approvals
from celery_config.saga.operations.acts_api import ActionOutput, WhyInput, answer_action
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs, check_permissions
from celery_config.web.refusals import Refusals

SEES = ("approvals.view_approvalrequest",)
DECISIONS = {"approve": approvals.approve, "decline": approvals.decline}


class RequestOutput(serializers.ModelSerializer[ApprovalRequest]):
    class Meta:
        model = ApprovalRequest
        fields = (
            "id", "act", "kind", "row", "what", "arguments", "asked_by", "why", "asked_at", "expires_at", "state",
            "decided_by", "decided_why", "decided_at",
        )  # fmt: skip


class RequestList(generics.ListAPIView[ApprovalRequest]):
    """What operators ask for and others decide about, newest first."""

    serializer_class = RequestOutput
    queryset = ApprovalRequest.objects.all()
    ordering = "-asked_at"
    filterset_fields = ("state", "act", "asked_by")
    needs: Needs = {"GET": SEES}


class RequestShow(generics.RetrieveAPIView[ApprovalRequest]):
    """One request, with what it would do."""

    serializer_class = RequestOutput
    queryset = ApprovalRequest.objects.all()
    needs: Needs = {"GET": SEES}


class Decide(APIView):
    needs: Needs = {"POST": SEES}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused, ServiceCallError]}

    @extend_schema(request=WhyInput, responses={200: ActionOutput})
    @answer_once(answer_action(status.HTTP_200_OK))
    def post(self, request: Request, pk: UUID, decision: str) -> OperatorAction:
        """Approve it, which does it, or decline it. 409: it is decided or expired, or you asked for it yourself."""
        asked, by = get_object_or_404(ApprovalRequest, pk=pk), request.user.get_username()
        check_permissions(request.user, *approvals.list_needs(asked, decision, by))
        return DECISIONS[decision](pk, by=by, **parse_body(WhyInput, request))


urlpatterns: list[Any] = [
    path("approvals/", RequestList.as_view(), name="approvals"),
    path("approvals/<uuid:pk>/", RequestShow.as_view(), name="approval"),
    *(
        path(f"approvals/<uuid:pk>/{each}/", Decide.as_view(), {"decision": each}, name=f"approval-{each}")
        for each in DECISIONS
    ),
]
