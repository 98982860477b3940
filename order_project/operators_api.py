"""Choreographed orders over HTTP for operators: what a verb would do, and doing it."""

from __future__ import annotations

from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.messages import encode
from celery_config.saga.api import ActionOutput, MayOperate, SettleInput, WhyInput, checked
from order_project import operators
from order_project.models import Choreography


class OrderVerb(APIView):
    permission_classes = (MayOperate,)

    @extend_schema(responses={200: dict})
    def get(self, request: Request, pk: UUID, verb: str) -> Response:
        """What the verb would do now to a choreographed order: nothing is changed."""
        get_object_or_404(Choreography, pk=pk)
        return Response(encode(operators.preview(pk, verb)))

    @extend_schema(request=WhyInput, responses={202: ActionOutput})
    def post(self, request: Request, pk: UUID, verb: str) -> Response:
        """Do it. 409: it does not fit where the order stands."""
        get_object_or_404(Choreography, pk=pk)
        why = checked(WhyInput, request)["why"]
        done = operators.perform(pk, verb, by=request.user.get_username(), why=why)
        return Response(ActionOutput(done).data, status=status.HTTP_202_ACCEPTED)


class OrderTakeOver(APIView):
    permission_classes = (MayOperate,)

    @extend_schema(request=WhyInput, responses={200: ActionOutput})
    def post(self, request: Request, pk: UUID) -> Response:
        """Become the owner of a parked choreographed order."""
        get_object_or_404(Choreography, pk=pk)
        why = checked(WhyInput, request)["why"]
        return Response(ActionOutput(operators.take_over(pk, by=request.user.get_username(), why=why)).data)


class OrderSettle(APIView):
    permission_classes = (MayOperate,)

    @extend_schema(request=SettleInput, responses={200: ActionOutput})
    def post(self, request: Request, pk: UUID) -> Response:
        """Say what became of a call outside, when nobody else can; ask for a retry afterwards."""
        get_object_or_404(Choreography, pk=pk)
        given = checked(SettleInput, request)
        done = operators.settle_by_hand(pk, by=request.user.get_username(), **given)
        return Response(ActionOutput(done).data)


urlpatterns = [
    path("orders/<uuid:pk>/take-over/", OrderTakeOver.as_view(), name="order-take-over"),
    path("orders/<uuid:pk>/settle/", OrderSettle.as_view(), name="order-settle"),
    *(
        path(f"orders/<uuid:pk>/{verb}/", OrderVerb.as_view(), {"verb": verb}, name=f"order-{verb}")
        for verb in operators.LABELS
    ),
]
