"""What operators deal with, over HTTP: rows about which nothing is left to do, once a person says so and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, TypedDict

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.db.functions import Now
from celery_config.errors import OperatorRefused
from celery_config.messaging.models import DEALT_WITH, Contradiction, DealtWithRow
from celery_config.web.fields import StrictCharField
from celery_config.web.filters import ParameterFilter, StrictFilterBackend
from celery_config.web.idempotency_keys import KeyUse, set_key_use
from celery_config.web.inputs import ClientInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs, name_permission
from celery_config.web.refusals import Refusals
from celery_config.web.schema import describe_type

OPEN, DONE = "open", "dealt with"


class OpenFilter(ParameterFilter):
    """`?state=`: open, or dealt with."""

    name = "state"
    description = "whether somebody dealt with it"
    schema = {"type": "string", "enum": [OPEN, DONE]}

    def narrow(self, request: Request, queryset: Any, text: str) -> Any:
        if text not in (OPEN, DONE):
            raise ValidationError({self.name: f"must be one of {OPEN}, {DONE}"})
        return queryset.filter(dealt_with_at__isnull=text == OPEN)


class DealtWithList(generics.ListAPIView[Any]):
    """The base of lists of rows that an operator deals with."""

    filter_backends = (StrictFilterBackend, OpenFilter)


class DealtWithInput(ClientInput):
    why = StrictCharField(max_length=1000, help_text="kept with your name")


class DealtWithOutput(TypedDict):
    dealt_with_at: datetime
    dealt_with_by: str
    dealt_with_why: str


class DealWith(APIView):
    """Says of one row of `model` that nothing is left to do about it."""

    needs: Needs = {}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}
    model: type[DealtWithRow] = Contradiction

    @extend_schema(request=DealtWithInput, responses={200: describe_type(DealtWithOutput)})
    @set_key_use(KeyUse.IGNORED)
    def post(self, request: Request, pk: Any) -> Response:
        """Say that nothing is left to do about it, and why. 409: somebody did so already."""
        given = parse_body(DealtWithInput, request)
        with transaction.atomic():
            row = get_object_or_404(self.model._default_manager.select_for_update(), pk=pk)
            if row.dealt_with_at is not None:
                raise OperatorRefused(f"{row.dealt_with_by} dealt with it already: {row.dealt_with_why}")
            row.dealt_with_at, row.dealt_with_by = Now(), request.user.get_username()
            row.dealt_with_why = given["why"]
            row.save(update_fields=DEALT_WITH)
        row.refresh_from_db(fields=DEALT_WITH)
        return Response({name: getattr(row, name) for name in DEALT_WITH})


def dealt_with_paths(plural: str, name: str, view: type[DealtWithList]) -> Sequence[URLPattern]:
    """Return the addresses of a list, and of dealing with one of its rows."""
    model: Any = view.queryset.model  # type: ignore[union-attr]
    needs: Needs = {"POST": (name_permission("change", model),)}
    return [
        path(f"{plural}/", view.as_view(), name=plural),
        path(
            f"{plural}/<int:pk>/deal-with/",
            DealWith.as_view(model=model, needs=needs),
            name=f"{name}-deal-with",
        ),
    ]


class ContradictionOutput(serializers.ModelSerializer[Contradiction]):
    class Meta:
        model = Contradiction
        fields = ("id", "event", "kind", "key", "subject", "reason", "received_at", *DEALT_WITH)


class ContradictionList(DealtWithList):
    """Events from outside that contradict our rows, newest first."""

    serializer_class = ContradictionOutput
    queryset = Contradiction.objects.all()
    ordering = "-received_at"
    filterset_fields = ("event", "kind", "subject")


urlpatterns = [*dealt_with_paths("contradictions", "contradiction", ContradictionList)]
