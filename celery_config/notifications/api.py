"""Incidents over HTTP: which stand, and somebody's acknowledgement."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from celery_config.errors import OperatorRefused
from celery_config.messaging.idempotency import Answer, answer_once, find_row
from celery_config.notifications.acknowledging import acknowledge
from celery_config.notifications.models import Incident
from celery_config.notifications.states import CONDITIONS, IncidentState, find_state
from celery_config.web.fields import StrictCharField
from celery_config.web.filters import ParameterFilter, StrictFilterBackend
from celery_config.web.inputs import ClientInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.refusals import Refusals


class StateFilter(ParameterFilter):
    """`?state=`: open, acknowledged or over."""

    name = "state"
    description = "how it stands"
    schema = {"type": "string", "enum": [each.value for each in IncidentState]}

    def narrow(self, request: Request, queryset: Any, text: str) -> Any:
        if text not in {*IncidentState}:
            raise ValidationError({self.name: f"must be one of {', '.join(IncidentState)}"})
        return queryset.filter(CONDITIONS[IncidentState(text)])


class IncidentOutput(serializers.ModelSerializer[Incident]):
    state = serializers.SerializerMethodField()

    class Meta:
        model = Incident
        fields = (
            "id", "kind", "cause", "severity", "state", "sentence", "link", "count", "facts", "first_seen_at",
            "last_seen_at", "over_at", "acknowledged_at", "acknowledged_by", "note",
        )  # fmt: skip

    @extend_schema_field({"type": "string", "enum": [each.value for each in IncidentState]})
    def get_state(self, incident: Incident) -> str:
        return find_state(incident)


class AcknowledgementInput(ClientInput):
    note = StrictCharField(max_length=1000, help_text="what you do about it; kept with your name")


class IncidentList(generics.ListAPIView[Incident]):
    """Incidents, newest first."""

    serializer_class = IncidentOutput
    queryset = Incident.objects.all()
    ordering = "-first_seen_at"
    filter_backends = (StrictFilterBackend, StateFilter)
    filterset_fields = ("kind", "severity", "cause")


class IncidentShow(generics.RetrieveAPIView[Incident]):
    """One incident."""

    serializer_class = IncidentOutput
    queryset = Incident.objects.all()


class Acknowledgement(APIView):
    needs: Needs = {"POST": ("notifications.change_incident",)}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}

    @extend_schema(request=AcknowledgementInput, responses={200: IncidentOutput})
    @answer_once(Answer(lambda incident, _: IncidentOutput(incident).data, find_row(Incident)))
    def post(self, request: Request, pk: UUID) -> Incident:
        """Say that you look: it is not repeated any more. 409: it is over, or acknowledged already."""
        get_object_or_404(Incident, pk=pk)
        given = parse_body(AcknowledgementInput, request)
        return acknowledge(pk, by=request.user.get_username(), note=given["note"])


urlpatterns = [
    path("incidents/", IncidentList.as_view(), name="incidents"),
    path("incidents/<uuid:pk>/", IncidentShow.as_view(), name="incident"),
    path("incidents/<uuid:pk>/acknowledgement/", Acknowledgement.as_view(), name="incident-acknowledgement"),
]
