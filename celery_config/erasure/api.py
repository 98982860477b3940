"""The HTTP API of erasure: the tombstones, for a service whose restored database lost its own."""

from __future__ import annotations

from rest_framework import generics, serializers

from celery_config.erasure.models import Forgotten


class ForgottenOutput(serializers.ModelSerializer[Forgotten]):
    class Meta:
        model = Forgotten
        fields = ("id", "at")


class ForgottenList(generics.ListAPIView[Forgotten]):
    """The ids of erased customers, and of their orders and sagas."""

    serializer_class = ForgottenOutput
    queryset = Forgotten.objects.all()
    ordering = "id"
