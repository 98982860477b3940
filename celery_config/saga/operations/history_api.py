"""The history of a flow over HTTP: where it stands and what happened to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.contracts.base import encode
from celery_config.saga.models import SagaInstance, WatchedRow
from celery_config.saga.operations import flow_reader
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.history import read_timeline
from celery_config.saga.operations.strip import draw_strip
from celery_config.web.permissions import Needs
from celery_config.web.schema import describe_type

SEES: Needs = {"GET": ("saga.view_sagainstance",)}


class HappeningOutput(TypedDict):
    """`kind`: began, done, refused, undone, tried, failed, sent again, decided, operator, ended."""

    at: datetime
    lane: str
    kind: str
    text: str


class StandingStep(TypedDict):
    """`tries`: which try it is; `next_at`: when it is tried again, if that is known."""

    step: str
    service: str
    state: str
    tries: str
    next_at: datetime | None
    reason: str


class HistoryOutput(TypedDict):
    sentence: str
    steps: list[StandingStep]
    happened: list[HappeningOutput]


class History(APIView):
    needs = SEES
    model: type[WatchedRow] = SagaInstance

    def get_row(self, pk: UUID) -> Any:
        """Return the row; 404 when there is none."""
        return get_object_or_404(self.model._default_manager, pk=pk)

    @extend_schema(responses={200: describe_type(HistoryOutput)})
    def get(self, request: Request, pk: UUID) -> Response:
        """Where it stands and what happened to it: every try that failed, answer, event, repeat and act of an operator.

        No other service is asked. A step that is tried very often is told ever more rarely.
        """
        row = self.get_row(pk)
        facts = flow_reader.read_flow(row)
        return Response(
            {
                "sentence": explain(facts).text,
                "steps": [
                    {
                        "step": cell.name,
                        "service": cell.service,
                        "state": cell.state.value,
                        "tries": cell.tries,
                        "next_at": cell.next_at,
                        "reason": cell.reason,
                    }
                    for cell in draw_strip(facts)
                ],
                "happened": [encode(each) for each in read_timeline(row, facts).rows],
            }
        )
