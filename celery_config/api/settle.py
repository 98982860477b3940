"""The door by which the orchestrator's operators settle a doubt at a participant."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.messaging import by_hand
from celery_config.participant import registered
from celery_config.web.fields import IdField
from celery_config.web.permissions import permission


class BarrierSettleInput(serializers.Serializer[Any]):
    task = serializers.CharField(max_length=120, help_text="wire name of the action's or undo's command")
    saga = IdField()
    step = serializers.CharField(max_length=80)
    operation = serializers.ChoiceField(("do", "undo"))
    subject = serializers.CharField(max_length=64)
    command = serializers.DictField()
    answer = serializers.DictField(help_text="what the provider would have answered")
    note = serializers.CharField(max_length=1000, help_text="who says so, and why")


class SettleBarrier(APIView):
    permission_classes = (permission("messaging.change_barrierrow"),)

    @extend_schema(request=BarrierSettleInput, responses={200: dict})
    def post(self, request: Request) -> Response:
        """Write what a human found out over the open intent of a call outside, as the provider's own answer."""
        given = BarrierSettleInput(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            told = by_hand.settle(registered(), **given.validated_data)
        except (msgspec.ValidationError, KeyError) as error:
            raise serializers.ValidationError({"answer": f"it lacks something: {error}"}) from error
        return Response({"settled": told})
