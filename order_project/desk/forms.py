"""The form of the order desk: who orders what, where to, with which card, and what shall happen."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from celery_config.common.identifiers import parse_uuid
from celery_config.sandbox.fates import FATES, FINE, UNHURRIED
from celery_config.sandbox.goods import ADDRESS, SOLD_OUT
from celery_config.sandbox.words import Token
from celery_config.web.forms import StrictIntegerField, VisibleTextField
from celery_config.web.text import has_unstorable_text
from order_project.desk.faults import explain_no_faults
from order_project.desk.limits import FASTEST, MOST_LINES, MOST_ORDERS
from order_project.desk.orders import CUSTOMER, ensure_desk_customer
from order_project.domain import MAX_QUANTITY, Flow
from order_project.forms import AddressField
from order_project.models import CatalogueProduct, Customer
from order_project.payment_tokens import LONGEST_TOKEN, validate_payment_token

FIRST = ("fate", "flow", "count")
FLOWS = {
    Flow.ORCHESTRATED: "the order service asks one service after the other",
    Flow.CHOREOGRAPHED: "each service acts on what the others announce",
}


class DeskForm(forms.Form):
    """Its lines come beside it: the fields `sku` and `quantity`, once for each line."""

    fate = forms.ChoiceField(label="What shall happen", widget=UnfoldAdminSelectWidget)
    flow = forms.ChoiceField(
        label="How it is carried out",
        choices=[(flow.value, text) for flow, text in FLOWS.items()],
        widget=UnfoldAdminSelectWidget,
    )
    count = StrictIntegerField(
        label="How many", min_value=1, max_value=MOST_ORDERS, widget=UnfoldAdminTextInputWidget
    )
    rate = StrictIntegerField(
        label="How many a second", min_value=1, max_value=FASTEST, widget=UnfoldAdminTextInputWidget
    )
    customer = VisibleTextField(
        max_length=64,
        help_text="the customer's number or id",
        widget=UnfoldAdminTextInputWidget,
    )
    card = VisibleTextField(
        label="Card",
        max_length=LONGEST_TOKEN,
        validators=[validate_payment_token],
        help_text="payment token; what shall happen may need another",
        widget=UnfoldAdminTextInputWidget,
    )
    address = AddressField(label="Address")

    def __init__(self, data: Any = None) -> None:
        first = FINE if explain_no_faults() else UNHURRIED
        initial = {
            "fate": first.name, "flow": Flow.ORCHESTRATED.value, "count": 1, "rate": 1, "customer": CUSTOMER,
            "card": Token.APPROVED.value, "address": ADDRESS,
        }  # fmt: skip
        super().__init__(data, initial=initial)
        fates = [FINE] if explain_no_faults() else FATES.values()
        self.fields["fate"].choices = [(fate.name, fate.label) for fate in fates]  # type: ignore[attr-defined]

    def first_fields(self) -> list[forms.BoundField]:
        """Return what is seen at once; the rest is folded."""
        return [self[name] for name in FIRST]

    def other_fields(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in FIRST]

    def describe_faults(self) -> list[str]:
        """Say each error after the label of its field; one of the whole form stands alone."""
        labels = {name: f"{self[name].label}: " for name in self.fields}
        return [f"{labels.get(name, '')}{text}" for name, some in self.errors.items() for text in some]

    def clean_address(self) -> dict[str, Any]:
        address: dict[str, Any] | None = self.cleaned_data["address"]
        if address is None:
            raise ValidationError("An order is sent somewhere.")
        return address

    def clean_customer(self) -> str:
        """Return the customer's id."""
        given = self.cleaned_data["customer"]
        if given == CUSTOMER:
            return str(ensure_desk_customer())
        wanted = {"pk": found} if (found := parse_uuid(given)) else {"reference": given}
        customer = Customer.objects.filter(**wanted).values_list("pk", flat=True).first()
        if customer is None:
            raise ValidationError("There is no such customer.")
        return str(customer)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        cleaned["lines"] = self.read_lines()
        return cleaned

    def read_lines(self) -> dict[CatalogueProduct, int]:
        """Return how many of each product; lines of the same product are added up.

        Raises:
            ValidationError: there is none, too many, an unknown one, or no number where one belongs.
        """
        skus, quantities = self.data.getlist("sku"), self.data.getlist("quantity")  # type: ignore[attr-defined]
        if not 0 < len(skus) <= MOST_LINES or len(skus) != len(quantities):
            raise ValidationError(f"Choose 1 to {MOST_LINES} products.")
        storable = [sku for sku in skus if not has_unstorable_text(sku)]
        known = CatalogueProduct.objects.filter(deleted=False).in_bulk(storable)
        number = StrictIntegerField(min_value=1, max_value=MAX_QUANTITY)
        units: Counter[CatalogueProduct] = Counter()
        for sku, quantity in zip(skus, quantities, strict=True):
            if sku not in known:
                raise ValidationError("There is no product %(sku)r.", params={"sku": sku[:64]})
            try:
                units[known[sku]] += number.clean(quantity)
                number.run_validators(units[known[sku]])
            except ValidationError as error:
                raise ValidationError(f"{sku}: {error.messages[0]}") from error
        return units

    def note_card(self) -> str:
        """Say that what shall happen needs another card than the one that was typed; empty: it does not."""
        typed, needed = self.cleaned_data["card"], FATES[self.cleaned_data["fate"]].token
        if typed in (needed.value, Token.APPROVED.value) or needed is Token.APPROVED:
            return ""
        return f"What shall happen needs the card {needed.value}, so it stands in the place of {typed}."

    def make_order(self) -> dict[str, Any]:
        """Return the order as POST /api/orders/ takes it; the form is valid."""
        given = self.cleaned_data
        lines = [{"sku": product.sku, "quantity": units} for product, units in given["lines"].items()]
        currency = next(iter(given["lines"])).currency
        order = {
            "lines": lines, "currency": currency, "payment_token": given["card"], "address": given["address"],
            "flow": given["flow"], "customer": given["customer"],
        }  # fmt: skip
        fate = FATES[given["fate"]]
        known = CatalogueProduct.objects.filter(active=True, deleted=False, currency=currency)
        sold_out = known.filter(sku=SOLD_OUT.sku).values_list("sku", flat=True) if fate.sold_out else ()
        return fate.give_to(order, list(sold_out))
