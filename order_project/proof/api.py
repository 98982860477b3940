"""The API of the proof: broken promises and daily statements, for people who may see them."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from rest_framework import generics, serializers

from celery_config.messaging.dealt_with_api import DealtWithList, dealt_with_paths
from celery_config.messaging.models import DEALT_WITH
from order_project.proof.models import BrokenPromise, DailyStatement


class BrokenPromiseSerializer(serializers.ModelSerializer[BrokenPromise]):
    class Meta:
        model = BrokenPromise
        fields = ("id", "order", "ended_at", "what", "found_at", *DEALT_WITH)


class DailyStatementSerializer(serializers.ModelSerializer[DailyStatement]):
    class Meta:
        model = DailyStatement
        fields = ("day", "orders", "violations", "books", "copies", "made_at")


class BrokenPromises(DealtWithList):
    """What the services together say of orders that must not be; the newest first."""

    queryset = BrokenPromise.objects.all()
    serializer_class = BrokenPromiseSerializer
    ordering = "-found_at"
    filterset_fields = ("order",)


class DailyStatements(generics.ListAPIView[Any]):
    """What was proved of each day (UTC); the newest first."""

    queryset = DailyStatement.objects.all()
    serializer_class = DailyStatementSerializer
    ordering = "-day"


urlpatterns: list[URLPattern] = [
    *dealt_with_paths("broken-promises", "broken-promise", BrokenPromises),
    path("daily-statements/", DailyStatements.as_view(), name="daily-statements"),
]
