"""The API of the proof: broken promises and daily statements, for people who may see them."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from rest_framework import generics, serializers

from order_project.proof.models import BrokenPromise, DailyStatement


class BrokenPromiseSerializer(serializers.ModelSerializer[BrokenPromise]):
    class Meta:
        model = BrokenPromise
        fields = ("order", "ended_at", "what", "found_at", "dealt_with_at", "dealt_with_by", "dealt_with_why")


class DailyStatementSerializer(serializers.ModelSerializer[DailyStatement]):
    class Meta:
        model = DailyStatement
        fields = ("day", "orders", "violations", "books", "copies", "made_at")


class BrokenPromises(generics.ListAPIView[Any]):
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
    path("broken-promises/", BrokenPromises.as_view(), name="broken-promises"),
    path("daily-statements/", DailyStatements.as_view(), name="daily-statements"),
]
