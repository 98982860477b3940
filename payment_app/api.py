"""The payment service's HTTP API: reads only; what it does, it does for commands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import URLPattern, URLResolver, path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.sweep import in_words
from payment_app import selectors
from payment_app.gateways import GatewayError
from payment_app.models import LedgerTransaction, Payment, Posting
from payment_app.reconciliation import compare_books

FACTS_LIMIT = 500


class ProviderAway(APIException):
    """503: the provider's books cannot be read now."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "provider_away"
    default_detail = "The provider's books cannot be read now. Try again."


class PaymentOutput(serializers.ModelSerializer[Payment]):
    class Meta:
        model = Payment
        fields = (
            "id", "order", "customer", "amount", "currency", "state", "provider_id", "captured", "refunded",
            "expires_at", "created_at", "updated_at",
        )  # fmt: skip


class PaymentList(generics.ListAPIView[Payment]):
    """Payments, newest first."""

    serializer_class = PaymentOutput
    queryset = Payment.objects.all()
    filterset_fields = ("order", "state", "currency")


class PaymentShow(generics.RetrieveAPIView[Payment]):
    """One payment."""

    serializer_class = PaymentOutput
    queryset = Payment.objects.all()


class PostingOutput(serializers.ModelSerializer[Posting]):
    account = serializers.CharField(source="account.code")
    currency = serializers.CharField(source="account.currency")

    class Meta:
        model = Posting
        fields = ("account", "currency", "amount")


class LedgerOutput(serializers.ModelSerializer[LedgerTransaction]):
    postings = PostingOutput(many=True)

    class Meta:
        model = LedgerTransaction
        fields = ("id", "booking", "order", "created_at", "postings")


class LedgerList(generics.ListAPIView[LedgerTransaction]):
    """Ledger transactions with their postings, newest first; a debit is positive, a credit negative."""

    serializer_class = LedgerOutput
    filterset_fields = ("order", "booking")
    queryset = selectors.ledger_transactions()


class BalanceOutput(serializers.Serializer[Any]):
    account = serializers.CharField(source="code")
    currency = serializers.CharField()
    balance = serializers.IntegerField(help_text="minor units; a debit is positive")


class Balances(APIView):
    @extend_schema(responses=BalanceOutput(many=True))
    def get(self, request: Request) -> Response:
        """The balance of every account; they sum to zero in each currency."""
        return Response(BalanceOutput(selectors.balances(), many=True).data)


class BooksInput(serializers.Serializer[Any]):
    days = serializers.FloatField(
        required=False, min_value=0, max_value=3650, help_text="default: everything"
    )


class BooksOutput(serializers.Serializer[Any]):
    checked = serializers.IntegerField(help_text="entries in the provider's books")
    under_way = serializers.IntegerField(help_text="orders not judged, since a call for them is open")
    findings = serializers.ListField(child=serializers.CharField(), help_text="every difference, in words")


class ProviderBooks(APIView):
    @extend_schema(parameters=[BooksInput], responses=BooksOutput)
    def get(self, request: Request) -> Response:
        """The provider's books compared with ours; no findings means that they agree."""
        given = BooksInput(data=request.query_params)
        given.is_valid(raise_exception=True)
        days = given.validated_data.get("days")
        try:
            result = compare_books(None if days is None else timezone.now() - timedelta(days=days))
        except GatewayError as error:
            raise ProviderAway from error
        answer = {
            "checked": result.checked,
            "under_way": result.under_way,
            "findings": [in_words(finding) for finding in result.findings],
        }
        return Response(BooksOutput(answer).data)


class FactsInput(serializers.Serializer[Any]):
    orders = serializers.ListField(child=serializers.UUIDField(), max_length=FACTS_LIMIT)
    totals = serializers.BooleanField(default=True, help_text="false: leave the sums over all orders out")


class Facts(APIView):
    @extend_schema(request=FactsInput, responses=dict)
    def post(self, request: Request) -> Response:
        """What payment did for each of the orders, and the ledger's sums; a read with a long question."""
        given = FactsInput(data=request.data)
        given.is_valid(raise_exception=True)
        answer: dict[str, Any] = {"facts": selectors.facts(given.validated_data["orders"])}
        if given.validated_data["totals"]:
            answer["totals"] = selectors.totals()
        return Response(answer)


urlpatterns: list[URLPattern | URLResolver] = [
    path("payments/", PaymentList.as_view(), name="payments"),
    path("payments/<uuid:pk>/", PaymentShow.as_view(), name="payment"),
    path("ledger/", LedgerList.as_view(), name="ledger"),
    path("ledger/balances/", Balances.as_view(), name="balances"),
    path("provider-books/", ProviderBooks.as_view(), name="provider-books"),
    path("facts/", Facts.as_view(), name="facts"),
]
