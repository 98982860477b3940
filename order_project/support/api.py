"""Notes of staff about an order over HTTP."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, ClassVar
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request

from celery_config.errors import OperatorRefused
from celery_config.messaging.idempotency import Answer, answer_once, find_row
from celery_config.web.fields import StrictCharField
from celery_config.web.inputs import ClientInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.refusals import Refusals
from order_project.models import Order, OrderNote
from order_project.support.notes import LONGEST_NOTE, add_note


class NoteInput(ClientInput):
    text = StrictCharField(
        max_length=LONGEST_NOTE,
        help_text="kept with your name; no card numbers, and nothing that the customer may not read",
    )


class NoteOutput(serializers.ModelSerializer[OrderNote]):
    class Meta:
        model = OrderNote
        fields = ("id", "order", "text", "by", "at")


NOTED = Answer[OrderNote](
    lambda note, _: NoteOutput(note).data,
    find_row(OrderNote),
    status.HTTP_201_CREATED,
    subject=attrgetter("order_id"),
)


class NoteList(generics.ListAPIView[OrderNote]):
    """Notes of staff about an order, newest first; the customer does not see them."""

    serializer_class = NoteOutput
    queryset = OrderNote.objects.all()
    ordering = "-id"
    needs: Needs = {"GET": ("order.view_order",), "POST": ("order.add_ordernote",)}
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(order=self.kwargs.get("pk"))

    @extend_schema(request=NoteInput, responses={201: NoteOutput})
    @answer_once(NOTED)
    def post(self, request: Request, pk: UUID) -> OrderNote:
        """Add a note. It is deleted when the customer is forgotten; 409: they are forgotten already."""
        order = get_object_or_404(Order, pk=pk)
        return add_note(order, by=request.user.get_username(), **parse_body(NoteInput, request))


urlpatterns = [path("orders/<uuid:pk>/notes/", NoteList.as_view(), name="order-notes")]
