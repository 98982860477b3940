"""The payment service's HTTP API: reads only; what it does, it does for commands."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.copies.api import CopiedDetail
from celery_config.participant.api import WebhookApi
from celery_config.reconciliation.api import BooksApi, FactsApi
from payment_app import selectors, webhooks
from payment_app.models import BillingCustomer, LedgerTransaction, Payment, Posting
from payment_app.reconciliation import books


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


class BillingCustomerOutput(serializers.ModelSerializer[BillingCustomer]):
    class Meta:
        model = BillingCustomer
        fields = ("customer", "name", "email", "currency", "billing_address", "version", "changed_at")


class BillingCustomerShow(CopiedDetail):
    """A customer of the order service, as far as payment must know it."""

    serializer_class = BillingCustomerOutput
    queryset = BillingCustomer.everything.all()


class ProviderBooks(BooksApi):
    """The provider's books."""

    books = books


class PaymentFacts(FactsApi):
    """What payment did, and the ledger's sums."""

    facts = staticmethod(selectors.facts)
    totals = staticmethod(selectors.totals)


class ProviderEvents(WebhookApi):
    """The provider's webhooks."""

    read = staticmethod(webhooks.read)


urlpatterns: list[URLPattern | URLResolver] = [
    path("payments/", PaymentList.as_view(), name="payments"),
    path("payments/<uuid:pk>/", PaymentShow.as_view(), name="payment"),
    path("ledger/", LedgerList.as_view(), name="ledger"),
    path("ledger/balances/", Balances.as_view(), name="balances"),
    path("customers/<uuid:pk>/", BillingCustomerShow.as_view(), name="billing-customer"),
    path("provider-books/", ProviderBooks.as_view(), name="provider-books"),
    path("provider-events/", ProviderEvents.as_view(), name="provider-events"),
    path("facts/", PaymentFacts.as_view(), name="facts"),
]
