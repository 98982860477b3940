"""The payment API: reads for staff and the other services; only commands change a payment."""

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
from celery_config.reconciliation.api import FactsApi, ReconciliationApi
from celery_config.web.permissions import find_table_needs
from payment_app import selectors
from payment_app.gateways import gateway
from payment_app.models import Account, BillingCustomer, LedgerTransaction, Payment, Posting
from payment_app.reconciliation import SOURCE
from payment_app.webhooks import describe_outcome


class PaymentOutputSerializer(serializers.ModelSerializer[Payment]):
    class Meta:
        model = Payment
        fields = (
            "id", "order", "customer", "amount", "currency", "state", "provider_id", "captured", "refunded",
            "expires_at", "created_at", "updated_at",
        )  # fmt: skip


class PaymentsApi(generics.ListAPIView[Payment]):
    """Payments, newest first."""

    serializer_class = PaymentOutputSerializer
    queryset = Payment.objects.all()
    filterset_fields = ("order", "state", "currency")


class PaymentApi(generics.RetrieveAPIView[Payment]):
    """One payment."""

    serializer_class = PaymentOutputSerializer
    queryset = Payment.objects.all()


class PostingOutputSerializer(serializers.ModelSerializer[Posting]):
    account = serializers.CharField(source="account.code")
    currency = serializers.CharField(source="account.currency")

    class Meta:
        model = Posting
        fields = ("account", "currency", "amount")


class LedgerOutputSerializer(serializers.ModelSerializer[LedgerTransaction]):
    postings = PostingOutputSerializer(many=True)

    class Meta:
        model = LedgerTransaction
        fields = ("id", "booking", "order", "created_at", "postings")


class LedgerApi(generics.ListAPIView[LedgerTransaction]):
    """Ledger transactions with their postings, newest first; a debit is positive, a credit negative."""

    serializer_class = LedgerOutputSerializer
    queryset = LedgerTransaction.objects.prefetch_related("postings__account")
    filterset_fields = ("order", "booking")


class BalanceOutputSerializer(serializers.Serializer[Any]):
    account = serializers.CharField(source="code")
    currency = serializers.CharField()
    balance = serializers.IntegerField(help_text="minor units; a debit is positive")


class BalancesApi(APIView):
    needs = find_table_needs(Account)

    @extend_schema(responses=BalanceOutputSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The balance of every account; they sum to zero in each currency."""
        return Response(BalanceOutputSerializer(selectors.balances(), many=True).data)


class BillingCustomerOutputSerializer(serializers.ModelSerializer[BillingCustomer]):
    class Meta:
        model = BillingCustomer
        fields = ("customer", "name", "email", "currency", "billing_address", "version", "changed_at")


class BillingCustomerApi(CopiedDetail):
    """The copy of a customer of the order service: the fields that payment needs."""

    serializer_class = BillingCustomerOutputSerializer
    queryset = BillingCustomer.everything.all()


urlpatterns: list[URLPattern | URLResolver] = [
    path("payments/", PaymentsApi.as_view(), name="payments"),
    path("payments/<uuid:pk>/", PaymentApi.as_view(), name="payment"),
    path("ledger/", LedgerApi.as_view(), name="ledger"),
    path("ledger/balances/", BalancesApi.as_view(), name="balances"),
    path("customers/<uuid:pk>/", BillingCustomerApi.as_view(), name="billing-customer"),
    path(
        "provider-books/",
        ReconciliationApi.as_view(source=SOURCE, needs=find_table_needs(Payment)),
        name="provider-books",
    ),
    path(
        "provider-events/",
        WebhookApi.as_view(provider=gateway, describe_outcome=describe_outcome),
        name="provider-events",
    ),
    path("facts/", FactsApi.as_view(facts=selectors.facts, totals=selectors.totals), name="facts"),
]
