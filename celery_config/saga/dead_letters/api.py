"""Dead letters over HTTP: what they are, and dealing with them."""

from __future__ import annotations

from rest_framework import serializers

from celery_config.messaging.dealt_with_api import DEALT_WITH, DealtWithList, dealt_with_paths
from celery_config.saga.models import DeadLetter


class DeadLetterOutput(serializers.ModelSerializer[DeadLetter]):
    """Without headers and body, which may hold personal data: the admin page shows them."""

    class Meta:
        model = DeadLetter
        fields = (
            "id", "received_at", "reason", "queue", "task", "task_id", "saga", "step", "operation", "fault",
            "consequence", *DEALT_WITH,
        )  # fmt: skip


class DeadLetterList(DealtWithList):
    """Messages that no service could take, newest first."""

    serializer_class = DeadLetterOutput
    queryset = DeadLetter.objects.all()
    ordering = "-received_at"
    filterset_fields = ("saga", "queue", "reason")


urlpatterns = [*dealt_with_paths("dead-letters", "dead-letter", DeadLetterList)]
