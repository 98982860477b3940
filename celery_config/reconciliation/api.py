"""The API of the audit: what a participant did for given orders, and whether a provider's records agree."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Required, TypedDict
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.common.arguments import MAX_DAYS
from celery_config.reconciliation.source import UNREADABLE, ReconciliationSource
from celery_config.web.fields import FiniteFloatField, IdField, StrictBooleanField
from celery_config.web.filters import parse_parameters
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.problems import BUSY_SECONDS, ApiError
from celery_config.web.refusals import Refusal, Refusals
from celery_config.web.schema import describe_type

MAX_ORDERS = 500


class FactsInput(serializers.Serializer[Any]):
    orders = serializers.ListField(child=IdField(), max_length=MAX_ORDERS)
    totals = StrictBooleanField(default=True, help_text="false: without what is about all orders")


class Totals(TypedDict):
    """`faults`: in words, what does not add up; each service adds numbers of its own."""

    faults: list[str]


class FactsOutput(TypedDict, total=False):
    """`facts`: what was done, by order id; `totals` only if they were asked for."""

    facts: Required[dict[str, dict[str, Any]]]
    totals: Totals


class FactsApi(APIView):
    """For services: `as_view` takes `facts(orders)`, what was done by order id, and `totals()`, which has `faults`."""

    facts: Callable[[Collection[UUID]], dict[str, dict[str, Any]]] = None  # type: ignore[assignment]
    totals: Callable[[], dict[str, Any]] = None  # type: ignore[assignment]

    @extend_schema(request=FactsInput, responses={200: describe_type(FactsOutput)})
    def post(self, request: Request) -> Response:
        """What this service did for each of the orders. It only reads; POST allows a long list."""
        given = parse_body(FactsInput, request)
        answer: dict[str, Any] = {"facts": self.facts(given["orders"])}
        if given["totals"]:
            answer["totals"] = self.totals()
        return Response(answer)


class BooksInput(serializers.Serializer[Any]):
    days = FiniteFloatField(required=False, min_value=0, max_value=MAX_DAYS, help_text="default: everything")


class BooksOutput(serializers.Serializer[Any]):
    checked = serializers.IntegerField(help_text="entries in their books")
    under_way = serializers.IntegerField(help_text="orders not judged because a call for them is open")
    findings = serializers.ListField(
        child=serializers.CharField(), help_text="every difference, a sentence each"
    )


class ReconciliationApi(APIView):
    """The records of `source` compared with ours; `as_view` takes it, and who `needs` what."""

    needs: Needs = {}
    source: ReconciliationSource = None  # type: ignore[assignment]

    @property
    def code(self) -> str:
        """Of the problem that the source does not answer."""
        return f"{self.source.name}_away"

    @property
    def refusals(self) -> Refusals:
        return {"GET": [Refusal(status.HTTP_503_SERVICE_UNAVAILABLE, self.code)]}

    @extend_schema(parameters=[BooksInput], responses=BooksOutput)
    def get(self, request: Request) -> Response:
        """The books of the source compared with ours; without findings they agree."""
        given = parse_parameters(BooksInput, request)
        try:
            result = self.source.compare(given.get("days"))
        except UNREADABLE as error:
            raise ApiError(
                f"The {self.source.name}'s books cannot be read now. Try again.",
                status_code=status.HTTP_503_SERVICE_UNAVAILABLE,
                code=self.code,
                wait=BUSY_SECONDS,
            ) from error
        return Response(BooksOutput(result).data)
