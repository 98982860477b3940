"""Columns of the admin pages: each function makes a column that shows a value as people read it, without secrets.

`path` names a field of the row; `__` leads to a related row: `payment__order`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import reduce
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from unfold.utils import display_for_label, prettify_json

from celery_config.common.countries import name_country
from celery_config.common.money import money
from celery_config.common.services import ORCHESTRATOR
from celery_config.contracts.privacy import HIDDEN, SECRET_FIELDS, hide_private, hide_quoted
from celery_config.web.elsewhere import find_url

Column = Callable[[Model], Any]
EMPTY = "-"
BLANK: tuple[Any, ...] = ("", None, [], {})
# A page about something else shows no more of an address.
SHOWN_ADDRESS_FIELDS = ("city", "country")
ADDRESS_LINES = ("name", "line1", "line2", "city", "region", "postal_code", "country")
AMOUNT_FIELDS = (
    "amount", "captured", "captured_amount", "price", "refund_amount", "refunded", "refunded_amount", "total",
    "unit_price",
)  # fmt: skip

TITLES = {"weight_grams": "weight"}


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


def words_column(path: str, title: str = "") -> Column:
    """A code in words: `card_declined` as "card declined"."""
    return column("words", path, title, lambda row: spell_code(get_value(row, path)) or EMPTY)


def ago_column(path: str, title: str = "") -> Column:
    """A time as so long ago, for lists."""
    return column("time", path, title, lambda row: format_ago(get_value(row, path)))


def weight_column(path: str, title: str = "weight") -> Column:
    """A weight in grams or kilograms, aligned like an amount of money."""
    return column("number", path, title, lambda row: format_weight(get_value(row, path)))


def label_column(
    path: str,
    colours: Mapping[str, str],
    title: str = "",
    *,
    empty: str = "",
    words: Mapping[str, str] = MappingProxyType({}),
) -> Column:
    """
    Args:
        colours: by value.
        words: what is shown in place of a value.
    """

    def show(row: Model) -> Any:
        value = str(get_value(row, path)) or empty
        return make_label(
            words.get(value, value), {words.get(key, key): each for key, each in colours.items()}
        )

    return column("label", path, title, show)


def link_column(path: str, view: str, title: str = "", *, short: bool = False) -> Column:
    """A link to the page `view` of the row with this id, if the service has such a page."""

    def show(row: Model) -> Any:
        value = get_value(row, path)
        return make_link(view, value, shorten_id(value) if short else value) if value else EMPTY

    return column("id", path, title, show)


def saga_column(path: str = "saga", title: str = "", *, short: bool = False) -> Column:
    """A link to the saga's page, from another service to the page that finds it: of a choreographed order it is the
    order's id."""

    def show(row: Model) -> Any:
        value = get_value(row, path)
        if not value:
            return EMPTY
        text = shorten_id(value) if short else value
        if settings.SERVICE == ORCHESTRATOR:
            return make_link("admin:saga_sagainstance_change", value, text)
        return make_anchor(find_url(ORCHESTRATOR, value), text)

    return column("id", path, title, show)


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


def message_column(path: str, title: str = "") -> Column:
    """The formatted JSON of a message, or of a part of it, with what is shown of it without asking."""

    def show(row: Model) -> Any:
        value = get_value(row, path)
        return prettify_json(hide_private(value), None) if value else EMPTY

    return column("json", path, title, show)


def said_column(path: str, title: str = "") -> Column:
    """What is said about a message, without the values of it that are quoted."""
    return column("said", path, title, lambda row: hide_quoted(get_value(row, path) or "") or EMPTY)


def spell_code(code: str) -> str:
    """A code of ours in words, without the service before its dot."""
    return code.rpartition(".")[2].replace("_", " ")


def make_label(word: str, colours: Mapping[str, str]) -> SafeString:
    """A word in one of unfold's colours: info, success, warning, danger."""
    return display_for_label(word, EMPTY, colours) if word else SafeString(EMPTY)


def format_number(value: int | None) -> str:
    return EMPTY if value is None else f"{value:,}".replace("-", "−")


def format_weight(grams: int | None) -> str:
    """In grams below a kilogram, else in kilograms with as many digits as say something."""
    if grams is None:
        return EMPTY
    return f"{grams} g" if grams < 1000 else f"{grams / 1000:,.3f}".rstrip("0").rstrip(".") + " kg"


def format_time(at: datetime | None) -> str:
    return date_format(localtime(at), "DATETIME_FORMAT") if at else EMPTY


def format_ago(at: datetime | None) -> SafeString | str:
    """A time that the browser shows as so long ago, or so far ahead; a tooltip, click or tap shows the time itself."""
    if at is None:
        return EMPTY
    shown = format_time(at)
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


def get_page_url(row: Model, view: str = "change") -> str:
    """Return the address of the row's admin page, or of another view of it."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{view}", args=[row.pk])


def make_anchor(url: str, text: Any) -> SafeString:
    return format_html('<a class="text-link" href="{}">{}</a>', url, text)


def join_address(parts: Mapping[str, str]) -> SafeString:
    """The lines of an address, with the name of its country."""
    lines = [parts.get(part, "") for part in ADDRESS_LINES[:-1]]
    return join_lines([*lines, name_country(parts.get(ADDRESS_LINES[-1], ""))])


def join_lines(texts: Iterable[str]) -> SafeString:
    return format_html_join(SafeString("<br>"), "{}", ([text] for text in texts if text))


def hide_secrets(value: Any, name: str = "") -> Any:
    """A JSON value without payment tokens, and with only the city and the country of an address."""
    if name in SECRET_FIELDS:
        return HIDDEN
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
            TITLES.get(name, name.replace("_", " ")),
            describe_item(name, item, currency),
        )
        for name, item in value.items()
        if item not in BLANK and not (name == "currency" and has_amount)
    ]


def describe_item(name: str, value: Any, currency: str | None) -> Any:
    if name in AMOUNT_FIELDS and isinstance(value, int):
        return money(value, currency) if currency else f"{value:,} minor units"
    if name == "country" and isinstance(value, str):
        return name_country(value)
    is_weight = name in TITLES and isinstance(value, int)
    return format_weight(value) if is_weight else describe_value(value, currency)


def describe_value(value: Any, currency: str | None = "") -> Any:
    """A value in words; amounts in it are in its own currency, or else in this one."""
    if isinstance(value, list):
        return join_lines(str(describe_value(item, currency)) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {describe_value(item)}" for name, item in list_items(value, currency))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return EMPTY if value is None else value
