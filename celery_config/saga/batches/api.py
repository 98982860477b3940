"""Batches over HTTP: make one, read its dry run, start it, and read what became of each flow."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import FieldDoesNotExist
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.views import APIView

from celery_config.contracts.base import encode
from celery_config.errors import OperatorRefused
from celery_config.messaging.idempotency import Answer, MadeByKey, answer_once, find_row
from celery_config.saga.batches.choosing import Batched, make_batch
from celery_config.saga.batches.letters import LETTERS
from celery_config.saga.batches.models import Batch, BatchItem
from celery_config.saga.batches.reading import (
    BatchPart,
    BatchReason,
    read_parts,
    read_reasons,
)
from celery_config.saga.batches.steering import STEERS, list_needs, steer
from celery_config.saga.engine.flows import flows
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations import permissions
from celery_config.saga.operations.acts_api import ActionOutput, WhyInput, answer_action
from celery_config.saga.operations.permissions import MAKES_BATCHES, STEERS_BATCHES
from celery_config.saga.states import Status
from celery_config.web.fields import (
    IdField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    WordField,
)
from celery_config.web.filters import StrictFilterBackend
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs, check_permissions
from celery_config.web.refusals import Refusals
from celery_config.web.schema import describe_type

SEES: Needs = {"GET": ("batches.view_batch",)}
MOST_NAMED = 10_000
"""How many flows a body may name; by filters it may be `MOST`."""
FILTERS = ("status", "name", "fingerprint", "owner")
NO_CHOICE = "say which flows: name their ids, or give a filter"
TWO_CHOICES = "give ids or filters, and not both"


class NewBatchInput(WhyInput):
    """Which flows, what to do with them, and how fast."""

    kind = StrictCharField(max_length=80, default="saga.sagainstance", help_text="as in /api/sagas/parked/")
    verb = StrictCharField(max_length=20, help_text="as in the address that acts on one")
    ids = serializers.ListField(child=IdField(), required=False, allow_empty=False, max_length=MOST_NAMED)
    letters = serializers.ListField(
        child=StrictIntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        allow_empty=False,
        max_length=MOST_NAMED,
        help_text="in place of ids, if the kind is saga.deadletter",
    )
    status = WordField([each.value for each in Status], required=False)
    name = StrictCharField(max_length=80, required=False, help_text="of sagas")
    fingerprint = StrictCharField(
        max_length=200, required=False, help_text="what parked them; of dead letters, their group"
    )
    owner = StrictCharField(max_length=150, required=False)
    one_first = StrictBooleanField(
        required=False,
        allow_null=True,
        help_text="try one, and the others after its end; null: of more than ten",
    )
    per_minute = StrictIntegerField(
        required=False, allow_null=True, min_value=1, max_value=60_000, help_text="null: as fast as it goes"
    )


class BatchOutput(serializers.ModelSerializer[Batch]):
    parts = serializers.SerializerMethodField()
    reasons = serializers.SerializerMethodField()

    class Meta:
        model = Batch
        fields = (
            "id", "kind", "verb", "chosen_by", "by", "why", "state", "note", "one_first", "per_minute", "created_at",
            "started_at", "ended_at", "settled_at", "parts", "reasons",
        )  # fmt: skip

    @extend_schema_field(describe_type(list[BatchPart]))
    def get_parts(self, batch: Batch) -> Any:
        """How many flows stand where, with their money in minor units."""
        return encode(read_parts(batch))

    @extend_schema_field(describe_type(list[BatchReason]))
    def get_reasons(self, batch: Batch) -> Any:
        """Why flows were refused or left alone; of those that were checked, what must be done first."""
        return encode(read_reasons(batch))


class BatchLine(serializers.ModelSerializer[Batch]):
    class Meta:
        model = Batch
        fields = ("id", "kind", "verb", "by", "why", "state", "created_at", "settled_at")


class BatchItemOutput(serializers.ModelSerializer[BatchItem]):
    class Meta:
        model = BatchItem
        fields = (
            "flow", "letter", "seen_status", "seen_since", "state", "would_be", "reason", "money_state", "currency",
            "amount", "acted_at", "outcome",
        )  # fmt: skip


def find_kind(name: str, *, flows_only: bool = False) -> Batched:
    """Return the kind of flows with this label, or dead letters.

    Raises:
        OperatorRefused: there is none.
    """
    kinds: dict[str, Batched] = {model._meta.label_lower: flow for model, flow in flows.items()}
    if not flows_only:
        kinds[LETTERS.model._meta.label_lower] = LETTERS
    if name not in kinds:
        raise OperatorRefused(f"there is no kind {name!r}; there are {', '.join(kinds)}")
    return kinds[name]


def read_filters(kind: Batched, given: dict[str, Any]) -> dict[str, Any]:
    """Take the filters out of a body.

    Raises:
        OperatorRefused: these flows have no such field.
    """
    filters = {name: given.pop(name) for name in FILTERS if name in given}
    for name in filters:
        try:
            kind.model._meta.get_field(name)
        except FieldDoesNotExist as error:
            raise OperatorRefused(f"these have no field {name!r} to choose by") from error
    return filters


def locate(batch: Batch) -> str:
    return reverse("batch", args=[batch.pk])


class BatchList(generics.ListAPIView[Batch]):
    """Batches, newest first."""

    serializer_class = BatchLine
    queryset = Batch.objects.all()
    ordering = "-created_at"
    filter_backends = (StrictFilterBackend, MadeByKey)
    filterset_fields = ("state", "verb", "kind")
    needs: Needs = {**SEES, "POST": (MAKES_BATCHES,)}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}

    @extend_schema(request=NewBatchInput, responses={202: BatchOutput})
    @answer_once(
        Answer(
            lambda batch, _: BatchOutput(batch).data,
            find_row(Batch),
            status.HTTP_202_ACCEPTED,
            location=locate,
        )
    )
    def post(self, request: Request) -> Batch:
        """Choose flows for one verb. Nothing is done to them: first the dry run says what would become of each."""
        given = parse_body(NewBatchInput, request)
        kind = find_kind(given.pop("kind"))
        named, letters = given.pop("ids", []), given.pop("letters", [])
        filters, ids = read_filters(kind, given), letters if kind is LETTERS else named
        if bool(filters) == bool(ids):
            raise OperatorRefused(TWO_CHOICES if ids else NO_CHOICE)
        verb = given.pop("verb")
        check_permissions(
            request.user, *permissions.list_needs(MAKES_BATCHES, verb, of_letters=kind is LETTERS)
        )
        rows = kind.model._default_manager.filter(**({"pk__in": ids} if ids else filters))
        if kind is LETTERS:
            rows = rows.filter(dealt_with_at__isnull=True)
        chosen_by = filters or {"ids": len(ids)}
        by = request.user.get_username()
        return make_batch(kind, rows, verb, chosen_by=chosen_by, by=by, **given)


class BatchShow(generics.RetrieveAPIView[Batch]):
    """Where a batch stands: how many flows, with what money, would be or were what, and why others were left."""

    serializer_class = BatchOutput
    queryset = Batch.objects.all()
    needs = SEES


class BatchItems(generics.ListAPIView[BatchItem]):
    """Each flow of a batch, in the order in which they are acted on."""

    serializer_class = BatchItemOutput
    queryset = BatchItem.objects.all()
    ordering = "id"
    filterset_fields = ("state", "outcome", "would_be")
    needs = SEES

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(batch=self.kwargs.get("pk"))


class BatchSteer(APIView):
    needs: Needs = {"POST": (STEERS_BATCHES,)}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}

    @extend_schema(request=WhyInput, responses={200: ActionOutput})
    @answer_once(answer_action(status.HTTP_200_OK))
    def post(self, request: Request, pk: UUID, act: str) -> OperatorAction:
        """Start, pause, resume or stop it. 409: its state does not allow it."""
        check_permissions(request.user, *list_needs(get_object_or_404(Batch, pk=pk), act))
        return steer(pk, act, by=request.user.get_username(), **parse_body(WhyInput, request))


urlpatterns = [
    path("batches/", BatchList.as_view(), name="batches"),
    path("batches/<uuid:pk>/", BatchShow.as_view(), name="batch"),
    path("batches/<uuid:pk>/items/", BatchItems.as_view(), name="batch-items"),
    *(
        path(f"batches/<uuid:pk>/{act}/", BatchSteer.as_view(), {"act": act}, name=f"batch-{act}")
        for act in STEERS
    ),
]
