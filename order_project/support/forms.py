"""Forms of what support does for a customer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from celery_config.common.identifiers import uuid7
from celery_config.common.money import find_digits, money
from celery_config.web.forms import VisibleTextField
from order_project.support.notes import LONGEST_NOTE

# `Decimal` also takes "1_0", "1e3" and digits of other scripts.
validate_amount = RegexValidator(
    r"^[0-9]{1,20}(\.[0-9]{1,4})?\Z", "Enter an amount in digits, such as 10 or 9.99."
)


class AmountField(forms.CharField):
    """A text that is an amount, as a number."""

    widget = UnfoldAdminDecimalFieldWidget

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=30, validators=[validate_amount], **options)

    def clean(self, value: Any) -> Decimal:
        return Decimal(super().clean(value))


class RefundForm(forms.Form):
    """An amount in the order's currency, and why. The hidden id makes one refund, however often it is sent."""

    id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid7)
    amount = AmountField()
    why = VisibleTextField(
        label="Reason", max_length=200, help_text="kept with your name", widget=UnfoldAdminTextInputWidget
    )

    def __init__(self, data: Any, *, currency: str, most: int) -> None:
        super().__init__(data)
        self.currency, self.most, self.digits = currency, most, find_digits(currency) or 0
        self.fields["amount"].label = f"Amount in {currency}"
        self.fields["amount"].help_text = f"at most {money(most, currency)}"

    def clean_amount(self) -> int:
        """The amount in minor units."""
        given: Decimal = self.cleaned_data["amount"]
        if not 0 < given <= Decimal(self.most).scaleb(-self.digits):
            raise forms.ValidationError(
                f"Give more than nothing, and at most {money(self.most, self.currency)}.", code="invalid"
            )
        minor = given.scaleb(self.digits)  # of a number with any exponent it would fail
        if minor != minor.to_integral_value():
            raise forms.ValidationError(
                f"{self.currency} has {self.digits} digits after the point.", code="invalid"
            )
        return int(minor)


class NoteForm(forms.Form):
    why = VisibleTextField(
        label="Note",
        max_length=LONGEST_NOTE,
        help_text="kept with your name; no card numbers, and nothing that the customer may not read",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
    )
