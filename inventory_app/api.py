"""The inventory API: the catalogue and the stock, for staff and the other services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple
from functools import cached_property
from typing import Any

from django.db.models import F
from django.urls import URLPattern, URLResolver, path
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from celery_config.common.iso import validate_currency
from celery_config.contracts.inventory import MAX_NAME, MAX_PRICE, MAX_SKU, MAX_STOCK
from celery_config.messaging.api import RefusedWhileRecovering
from celery_config.messaging.idempotency import Answer, MadeByKey, answer_once, find_row
from celery_config.reconciliation.api import FactsApi
from celery_config.web.fields import IdField, StrictBooleanField, StrictCharField, StrictIntegerField
from celery_config.web.filters import StrictFilterBackend
from celery_config.web.inputs import ClientInput
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs, may
from celery_config.web.problems import Unprocessable
from celery_config.web.refusals import Refusal, Refusals
from inventory_app import domain, selectors, services
from inventory_app.errors import (
    AdjustmentConflict,
    InventoryError,
    RepeatedProduct,
    StockBelowReserved,
    UnknownProduct,
)
from inventory_app.models import Movement, Product, Reservation, Stock, validate_sku

MAX_ITEMS = 1000
BY_SKU = "pk"  # many products are created at the same moment


class SkuField(StrictCharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_SKU, validators=[validate_sku], **options)


class ProductSerializer(serializers.ModelSerializer[Product]):
    payment_warning = serializers.SerializerMethodField(
        help_text="why an order of it could not be paid; empty if it can, or if that is not known yet"
    )

    class Meta:
        model = Product
        fields = (
            "sku", "name", "price", "currency", "weight_grams", "active", "payment_warning", "version",
            "created_at", "updated_at",
        )  # fmt: skip

    def get_payment_warning(self, product: Product) -> str:
        return domain.explain_payment_fault(
            product.price, product.currency, self.payable.get(product.currency)
        )

    @cached_property
    def payable(self) -> dict[str, domain.Payable]:
        """Read once for all products of an answer."""
        return selectors.read_payable()


def join_counts(result: Any) -> str:
    """Return the counts of a result as a text that `split` takes apart."""
    return " ".join(map(str, astuple(result)))


class WarningSerializer(serializers.Serializer[Any]):
    sku = serializers.CharField()
    detail = serializers.CharField()


PUT = Answer[services.PutResult](
    lambda put, request: (
        ProductsApi.OutputSerializer(
            {**asdict(put), "warnings": warn_of_payment(find_products(request))}
        ).data
    ),
    lambda name: services.PutResult(*map(int, name.split())),
    name=join_counts,
)
OPENED = Answer[services.OpeningResult](
    lambda opened, _: OpeningStockApi.OutputSerializer(opened).data,
    lambda name: services.OpeningResult(*map(int, name.split())),
    name=join_counts,
)
ADJUSTED = Answer[Movement](lambda movement, _: MovementSerializer(movement).data, find_row(Movement))


REFUSALS: Refusals = {
    "POST": [
        Refusal(status.HTTP_422_UNPROCESSABLE_ENTITY, error.code)
        for error in (UnknownProduct, RepeatedProduct, StockBelowReserved, AdjustmentConflict)
    ]
}


class ProductsApi(RefusedWhileRecovering, generics.ListAPIView[Product]):
    """The catalogue."""

    refusals = REFUSALS

    needs: Needs = {"POST": ("inventory.add_product", "inventory.change_product")}
    serializer_class = ProductSerializer
    ordering = BY_SKU
    queryset = Product.objects.all()
    filterset_fields = ("active", "currency")

    class InputSerializer(ClientInput):
        class ItemSerializer(ClientInput):
            sku = SkuField()
            name = StrictCharField(max_length=MAX_NAME)
            price = StrictIntegerField(min_value=0, max_value=MAX_PRICE)
            currency = StrictCharField(validators=[validate_currency], help_text="ISO 4217")
            weight_grams = StrictIntegerField(min_value=1, max_value=domain.MAX_WEIGHT_GRAMS)
            active = StrictBooleanField(default=True)
            opening_stock = StrictIntegerField(
                min_value=0,
                max_value=MAX_STOCK,
                required=False,
                help_text="units to begin with; of a product that is there already it is ignored",
            )

        only_new = StrictBooleanField(
            default=False,
            help_text="products that are there already stay as they are, and count as unchanged",
        )
        products = serializers.ListField(child=ItemSerializer(), allow_empty=False, max_length=MAX_ITEMS)

    class OutputSerializer(serializers.Serializer[Any]):
        created = serializers.IntegerField()
        changed = serializers.IntegerField()
        unchanged = serializers.IntegerField()
        warnings = WarningSerializer(many=True, help_text="products of which an order could not be paid")

    @extend_schema(request=InputSerializer, responses=OutputSerializer)
    @answer_once(PUT)
    def post(self, request: Request) -> services.PutResult:
        """Create products, or change them to what is sent, all in one transaction."""
        given = parse_body(self.InputSerializer, request)
        opening = {
            item["sku"]: item.pop("opening_stock") for item in given["products"] if "opening_stock" in item
        }
        if opening and not may(request.user, "inventory.change_stock"):
            raise PermissionDenied("You need the permission inventory.change_stock to give an opening stock.")
        products = [domain.ProductData(**item) for item in given["products"]]
        with translate_errors():
            return services.put_products(
                products=products, opening=opening, only_new=given["only_new"], by=request.user.get_username()
            )


def find_products(request: Request) -> Iterable[Product]:
    """Return the products that a valid request has put."""
    body: Any = request.data
    return Product.objects.filter(pk__in=[item["sku"].strip() for item in body["products"]])


class ProductApi(generics.RetrieveAPIView[Product]):
    """One product."""

    serializer_class = ProductSerializer
    queryset = Product.objects.all()
    lookup_field = "sku"


class StockApi(generics.ListAPIView[Stock]):
    """The stock of each product."""

    class OutputSerializer(serializers.ModelSerializer[Stock]):
        sku = serializers.CharField(source="product_id")
        available = serializers.IntegerField()

        class Meta:
            model = Stock
            fields = ("sku", "on_hand", "reserved", "available", "opening")

    serializer_class = OutputSerializer
    queryset = Stock.objects.annotate(available=F("on_hand") - F("reserved"))
    ordering = BY_SKU
    filterset_fields = ("product",)


class OpeningStockApi(RefusedWhileRecovering):
    """The first stock of products."""

    refusals = REFUSALS

    needs: Needs = {"POST": ("inventory.change_stock",)}

    class InputSerializer(ClientInput):
        class ItemSerializer(ClientInput):
            sku = SkuField()
            quantity = StrictIntegerField(min_value=0, max_value=MAX_STOCK)

        items = serializers.ListField(child=ItemSerializer(), allow_empty=False, max_length=MAX_ITEMS)

    class OutputSerializer(serializers.Serializer[Any]):
        booked = serializers.IntegerField()
        there_already = serializers.IntegerField()

    @extend_schema(request=InputSerializer, responses=OutputSerializer)
    @answer_once(OPENED)
    def post(self, request: Request) -> services.OpeningResult:
        """Set the opening stock once: a product that has one keeps it."""
        items = parse_body(self.InputSerializer, request)["items"]
        with translate_errors():
            domain.check_unique([item["sku"] for item in items])
            return services.set_opening_stock(
                quantities={item["sku"]: item["quantity"] for item in items}, by=request.user.get_username()
            )


class MovementSerializer(serializers.ModelSerializer[Movement]):
    sku = serializers.CharField(source="product_id")

    class Meta:
        model = Movement
        fields = (
            "id", "sku", "kind", "quantity", "order", "on_hand", "reserved",
            "adjustment", "reason", "by", "created_at",
        )  # fmt: skip


class AdjustmentApi(RefusedWhileRecovering):
    """Corrections of the stock."""

    refusals = REFUSALS

    needs: Needs = {"POST": ("inventory.change_stock",)}

    class InputSerializer(ClientInput):
        adjustment = IdField(help_text="your id of the adjustment; a repeat changes nothing")
        sku = SkuField()
        quantity = StrictIntegerField(min_value=-MAX_STOCK, max_value=MAX_STOCK)
        reason = StrictCharField(max_length=200)

    @extend_schema(request=InputSerializer, responses=MovementSerializer)
    @answer_once(ADJUSTED)
    def post(self, request: Request) -> Movement:
        """Add to the stock of one product, or take from it with a negative quantity."""
        with translate_errors():
            return services.adjust_stock(
                **parse_body(self.InputSerializer, request), by=request.user.get_username()
            )


class ReservationsApi(generics.ListAPIView[Reservation]):
    """The stock that orders hold or held."""

    class OutputSerializer(serializers.ModelSerializer[Reservation]):
        class LineSerializer(serializers.Serializer[Any]):
            sku = serializers.CharField(source="product_id")
            quantity = serializers.IntegerField()

        lines = LineSerializer(many=True)

        class Meta:
            model = Reservation
            fields = ("id", "order", "state", "lines", "created_at", "updated_at")

    serializer_class = OutputSerializer
    queryset = Reservation.objects.prefetch_related("lines")
    filterset_fields = ("order", "state")


class MovementsApi(generics.ListAPIView[Movement]):
    """Every change of stock."""

    serializer_class = MovementSerializer
    ordering = "-id"  # the movements of one order are made at the same moment
    queryset = Movement.objects.all()
    filter_backends = (StrictFilterBackend, MadeByKey)
    filterset_fields = ("product", "order", "kind")


def warn_of_payment(products: Iterable[Product]) -> list[dict[str, str]]:
    payable = selectors.read_payable()
    faults = {
        each.sku: domain.explain_payment_fault(each.price, each.currency, payable.get(each.currency))
        for each in products
    }
    return [{"sku": sku, "detail": fault} for sku, fault in faults.items() if fault]


@contextmanager
def translate_errors() -> Iterator[None]:
    """Answer an error of inventory with 422 and its code."""
    try:
        yield
    except InventoryError as error:
        raise Unprocessable(str(error), code=error.code) from error


urlpatterns: list[URLPattern | URLResolver] = [
    path("products/", ProductsApi.as_view(), name="products"),
    path("products/<str:sku>/", ProductApi.as_view(), name="product"),
    path("stock/", StockApi.as_view(), name="stock"),
    path("stock/opening/", OpeningStockApi.as_view(), name="opening-stock"),
    path("stock/adjustments/", AdjustmentApi.as_view(), name="adjustments"),
    path("reservations/", ReservationsApi.as_view(), name="reservations"),
    path("movements/", MovementsApi.as_view(), name="movements"),
    path("facts/", FactsApi.as_view(facts=selectors.facts, totals=selectors.totals), name="facts"),
]
