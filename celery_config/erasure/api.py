"""The HTTP API of erasure: the tombstones, for a service whose restored database lost its own."""

from __future__ import annotations

from rest_framework import generics, serializers

from celery_config.erasure.models import Forgotten
from celery_config.web.permissions import Needs


class ForgottenOutput(serializers.ModelSerializer[Forgotten]):
    class Meta:
        model = Forgotten
        fields = ("id", "at")


class ForgottenList(generics.ListAPIView[Forgotten]):
    """The ids of erased customers, and of their orders and sagas."""

    needs: Needs = {"GET": ("erasure.view_forgotten",)}
    serializer_class = ForgottenOutput
    queryset = Forgotten.objects.all()
    ordering = "id"
