"""The messaging API that each service offers the others: event feed, barrier rows, state of the outbox."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.messaging.feed import feed_after
from celery_config.messaging.models import BarrierRow
from celery_config.messaging.outbox.relay import oldest_unpublished_seconds

FEED_LIMIT = 1000


class EventFeed(APIView):
    """Events in the order in which their transactions became visible, for readers that catch up (rule 20, the feed)."""

    @extend_schema(
        parameters=[
            OpenApiParameter("after", str, description="the `cursor` of the last event seen; empty: all")
        ],
        responses={200: dict},
    )
    def get(self, request: Request) -> Response:
        """Return only rows below every running transaction, because ids commit out of order."""
        feed = feed_after(request.query_params.get("after", ""))
        found = [
            {"cursor": f"{t}-{i}", "event": payload}
            for t, i, payload in feed.values_list("transaction", "id", "payload")[:FEED_LIMIT]
        ]
        return Response({"events": found, "more": len(found) == FEED_LIMIT})


class BarrierSerializer(serializers.ModelSerializer[BarrierRow]):
    class Meta:
        model = BarrierRow
        fields = (
            "key", "saga", "step", "command", "action", "undo", "reply", "note", "created_at", "updated_at",
        )  # fmt: skip


class BarrierList(generics.ListAPIView[BarrierRow]):
    """The outcome of every step here, for the audit and for operators who decide about a parked saga."""

    serializer_class = BarrierSerializer
    queryset = BarrierRow.objects.all()
    filterset_fields = ("saga", "step", "action", "undo")


class OutboxState(APIView):
    """How far the relay is."""

    @extend_schema(responses={200: dict})
    def get(self, request: Request) -> Response:
        """Age in seconds of the oldest row that is due and not published."""
        return Response({"oldest_unpublished_seconds": oldest_unpublished_seconds()})
