"""What the audit asks a participant: what it did for which orders, and whether somebody else's books agree."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
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
    totals = serializers.BooleanField(default=True, help_text="false: leave out what is about all orders")


class FactsApi(APIView):
    """`facts(orders=…)` returns what was done by order id; `totals()` what is about all, its `faults` in words."""

    facts: Callable[..., dict[str, dict[str, Any]]]
    totals: Callable[[], dict[str, Any]]

    @extend_schema(request=FactsInput, responses={200: dict})
    def post(self, request: Request) -> Response:
        """What this service did for each of the orders; a read with a long question."""
        given = FactsInput(data=request.data)
        given.is_valid(raise_exception=True)
        answer: dict[str, Any] = {"facts": self.facts(orders=given.validated_data["orders"])}
        if given.validated_data["totals"]:
            answer["totals"] = self.totals()
        return Response(answer)


class BooksUnavailable(APIException):
    """503: somebody's books cannot be read now; the code says whose: `provider_away`."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE

    def __init__(self, whose: str) -> None:
        super().__init__(f"The {whose}'s books cannot be read now. Try again.", code=f"{whose}_away")


class BooksInput(serializers.Serializer[Any]):
    days = serializers.FloatField(
        required=False, min_value=0, max_value=MAX_DAYS, help_text="default: everything"
    )


class BooksOutput(serializers.Serializer[Any]):
    checked = serializers.IntegerField(help_text="entries in their books")
    under_way = serializers.IntegerField(help_text="orders not judged, since a call for them is open")
    findings = serializers.ListField(child=serializers.CharField(), help_text="every difference, in words")


class BooksApi(APIView):
    """Somebody else's `books` compared with ours."""

    books: ClassVar[ReconciliationSource]

    @extend_schema(parameters=[BooksInput], responses=BooksOutput)
    def get(self, request: Request) -> Response:
        """Their books compared with ours; no findings means that they agree."""
        given = BooksInput(data=request.query_params)
        given.is_valid(raise_exception=True)
        days = given.validated_data.get("days")
        try:
            result = self.books.compare(None if days is None else timezone.now() - timedelta(days=days))
        except self.books.errors as error:
            raise BooksUnavailable(self.books.whose) from error
        answer = {
            "checked": result.checked,
            "under_way": result.under_way,
            "findings": [describe_finding(finding) for finding in result.findings],
        }
        return Response(BooksOutput(answer).data)
