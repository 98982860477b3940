"""The audit's API of a participant: what it did for each order, and how its books differ from the other side's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.reconciliation.sweep import ReconciliationSource, describe_finding
from celery_config.web.fields import IdField

MAX_ORDERS = 500
MAX_DAYS = 3650


class FactsInput(serializers.Serializer[Any]):
    orders = serializers.ListField(child=IdField(), max_length=MAX_ORDERS)
    totals = serializers.BooleanField(default=True, help_text="false: without what is about all orders")


class FactsApi(APIView):
    """Subclasses set `facts(orders=…)`, what was done by order id, and `totals()`, which has `faults` as sentences."""

    facts: Callable[..., dict[str, dict[str, Any]]]
    totals: Callable[[], dict[str, Any]]

    @extend_schema(request=FactsInput, responses={200: dict})
    def post(self, request: Request) -> Response:
        """What this service did for each of the orders. It only reads; POST allows a long list."""
        given = FactsInput(data=request.data)
        given.is_valid(raise_exception=True)
        answer: dict[str, Any] = {"facts": self.facts(orders=given.validated_data["orders"])}
        if given.validated_data["totals"]:
            answer["totals"] = self.totals()
        return Response(answer)


class BooksUnavailable(APIException):
    """503: the other side's books cannot be read now; the code names it: `provider_away`."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE

    def __init__(self, owner: str) -> None:
        super().__init__(f"The {owner}'s books cannot be read now. Try again.", code=f"{owner}_away")


class BooksInput(serializers.Serializer[Any]):
    days = serializers.FloatField(
        required=False, min_value=0, max_value=MAX_DAYS, help_text="default: everything"
    )


class BooksOutput(serializers.Serializer[Any]):
    checked = serializers.IntegerField(help_text="entries in the other side's books")
    under_way = serializers.IntegerField(help_text="orders not judged because a call for them is open")
    findings = serializers.ListField(
        child=serializers.CharField(), help_text="every difference, a sentence each"
    )


class BooksApi(APIView):
    """The other side's `books` compared with ours."""

    books: ClassVar[ReconciliationSource]

    @extend_schema(parameters=[BooksInput], responses=BooksOutput)
    def get(self, request: Request) -> Response:
        """The other side's books compared with ours; without findings they agree."""
        given = BooksInput(data=request.query_params)
        given.is_valid(raise_exception=True)
        try:
            result = self.books.compare_last(given.validated_data.get("days"))
        except self.books.errors as error:
            raise BooksUnavailable(self.books.owner) from error
        answer = {
            "checked": result.checked,
            "under_way": result.under_way,
            "findings": [describe_finding(finding) for finding in result.findings],
        }
        return Response(BooksOutput(answer).data)
