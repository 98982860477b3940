"""Columns of the admin pages: each function makes a column that shows a value as people read it, without secrets.

`path` names a field of the row; `__` leads to a related row: `payment__order`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import reduce
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from unfold.utils import display_for_label, prettify_json

from celery_config.common.money import money

Column = Callable[[Model], Any]
EMPTY = "-"
BLANK: tuple[Any, ...] = ("", None, [], {})
SECRET_FIELDS = ("payment_token",)
# A page about something else shows no more of an address.
SHOWN_ADDRESS_FIELDS = ("city", "country")
ADDRESS_LINES = ("name", "line1", "line2", "city", "region", "postal_code", "country")
AMOUNT_FIELDS = (
    "amount", "captured", "captured_amount", "price", "refund_amount", "refunded", "refunded_amount", "total",
    "unit_price",
)  # fmt: skip


def column(kind: str, path: str, title: str, show: Callable[[Any], Any]) -> Column:
    """A column that `show`s a row and sorts by `path`; its cells have the CSS class `field-{kind}_{path}`."""

    @admin.display(description=title or path.rpartition("__")[2].replace("_", " "), ordering=path)
    def shown(row: Model) -> Any:
        return show(row)

    shown.__name__ = f"{kind}_{path}"
    return shown


def get_value(row: Any, path: str) -> Any:
    return reduce(getattr, path.split("__"), row)


def id_column(path: str, title: str = "") -> Column:
    """The end of an id; its tooltip has the whole id."""
    return column("id", path, title, lambda row: shorten_id(get_value(row, path)))


def money_column(path: str, title: str = "", *, currency: str = "currency") -> Column:
    return column("money", path, title, lambda row: money(get_value(row, path), get_value(row, currency)))


def number_column(path: str, title: str = "") -> Column:
    """A quantity, aligned and separated like an amount of money."""
    return column("number", path, title, lambda row: format_number(get_value(row, path)))


def time_column(path: str, title: str = "") -> Column:
    return column("time", path, title, lambda row: format_time(get_value(row, path)))


def label_column(path: str, colours: Mapping[str, str], title: str = "", *, empty: str = "") -> Column:
    return column("label", path, title, lambda row: make_label(str(get_value(row, path)) or empty, colours))


def link_column(path: str, view: str, title: str = "", *, short: bool = False) -> Column:
    """A link to the page `view` of the row with this id, if the service has such a page."""

    def show(row: Model) -> Any:
        value = get_value(row, path)
        return make_link(view, value, shorten_id(value) if short else value) if value else EMPTY

    return column("id", path, title, show)


def saga_column(path: str = "saga", title: str = "", *, short: bool = False) -> Column:
    return link_column(path, "admin:saga_sagainstance_change", title, short=short)


def table_column(path: str, title: str = "", *, currency: str = "") -> Column:
    """A JSON object as a small table.

    Args:
        currency: the path of the currency of its amounts, if the object names none.
    """
    return column(
        "table",
        path,
        title,
        lambda row: make_table(get_value(row, path), get_value(row, currency) if currency else ""),
    )


def json_column(path: str, title: str = "") -> Column:
    """Formatted JSON without secrets; the value may be a text that contains JSON."""

    def show(row: Model) -> Any:
        value = get_value(row, path)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                return value or EMPTY
        return prettify_json(hide_secrets(value), None) if value else EMPTY

    return column("json", path, title, show)


def make_label(word: str, colours: Mapping[str, str]) -> SafeString:
    """A word in one of unfold's colours: info, success, warning, danger."""
    return display_for_label(word, EMPTY, colours) if word else SafeString(EMPTY)


def format_number(value: int | None) -> str:
    return EMPTY if value is None else f"{value:,}".replace("-", "−")


def format_time(at: datetime | None) -> str:
    return date_format(localtime(at), "DATETIME_FORMAT") if at else EMPTY


def format_ago(at: datetime | None) -> SafeString | str:
    """A time that the browser shows as so long ago, or so far ahead; a tooltip, click or tap shows the time itself."""
    if at is None:
        return EMPTY
    shown = f"{date_format(localtime(at), 'DATETIME_FORMAT')} UTC"
    return format_html('<time class="ago" datetime="{}" title="{}">{}</time>', at.isoformat(), shown, shown)


def shorten_id(value: Any) -> SafeString:
    """The end of an id, because ids that grow with time begin alike; a script adds a button that copies it."""
    if not value:
        return SafeString(EMPTY)
    return format_html('<span data-id="{}" title="{}">…{}</span>', value, value, str(value)[-8:])


def make_link(view: str, pk: Any, text: Any) -> Any:
    try:
        return make_anchor(reverse(view, args=[pk]), text)
    except NoReverseMatch:
        return text


def make_anchor(url: str, text: Any) -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', url, text)


def join_lines(texts: Iterable[str]) -> SafeString:
    return format_html_join(SafeString("<br>"), "{}", ([text] for text in texts if text))


def hide_secrets(value: Any, name: str = "") -> Any:
    """A JSON value without payment tokens, and with only the city and the country of an address."""
    if name in SECRET_FIELDS:
        return "hidden"
    if isinstance(value, list):
        return [hide_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    if name == "address":
        return {part: value[part] for part in SHOWN_ADDRESS_FIELDS if part in value}
    return {name: hide_secrets(item, name) for name, item in value.items()}


def make_table(value: Mapping[str, Any] | None, currency: str | None = "") -> SafeString:
    """A JSON object's names and values as a table, without secrets and empty values, and with amounts as money."""
    if not isinstance(value, dict):  # a row that something else wrote is shown as it is
        return SafeString(EMPTY) if value is None else format_html("{}", json.dumps(value))
    if not value:
        return SafeString(EMPTY)
    rows = format_html_join(
        "", "<tr><th>{}</th><td>{}</td></tr>", list_items(hide_secrets(dict(value)), currency)
    )
    return format_html('<table class="facts">{}</table>', rows)


def list_items(value: dict[str, Any], currency: str | None = "") -> list[tuple[str, Any]]:
    currency = value.get("currency") or currency
    has_amount = any(name in value for name in AMOUNT_FIELDS)
    return [
        (
            name.replace("_", " "),
            money(item, currency) if currency and name in AMOUNT_FIELDS else describe_value(item),
        )
        for name, item in value.items()
        if item not in BLANK and not (name == "currency" and has_amount)
    ]


def describe_value(value: Any) -> Any:
    if isinstance(value, list):
        return join_lines(str(describe_value(item)) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {describe_value(item)}" for name, item in list_items(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return EMPTY if value is None else value
