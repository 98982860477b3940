"""What holds of every page and every form of an admin: it answers whatever is sent, and never with a 5xx."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models, transaction
from django.test import Client, RequestFactory
from django.utils import timezone

HOSTILE: dict[str, str] = {
    "empty": "",
    "foreign": "abc",
    "long": "x" * 5000,
    "digits": "9" * 5000,
    "NUL": "a\0b",
    "percent": "100 %d",
}
INVISIBLE = "\u3164\u200b"
HOSTILE_JSON: dict[str, str] = {
    "brackets": "[" * 60_000,
    "nested": "[" * 900 + "]" * 900,
    "escaped NUL": json.dumps({"name": "a\0"}),
    "half pair": json.dumps({"name": "\ud83d"}),
}
QUERIES = ({"q": "a\0"}, {"q": "x" * 3000, "p": "9" * 30, "o": "abc"}, {"nothing__here": "1"})
YEARS = ("99999", "10000", "9999", "0", "-1")
DATES = ("99999-01-01", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00+14:00", "0000-01-01")
FOREIGN_KEYS = ("abc", str(UUID(int=7)), "9" * 30)
# Django's own forms: one hostile value in all fields, not in each.
OF_DJANGO = ("auth",)


def registered(*, of_django: bool = True) -> list[type[models.Model]]:
    """The models of the admin.

    Args:
        of_django: with users, groups and tokens, whose pages are the same in every service.
    """
    return [model for model in admin.site._registry if of_django or model._meta.app_label not in OF_DJANGO]


def make_label(model: type[models.Model]) -> str:
    return model._meta.label_lower


def list_addresses(model: type[models.Model], key: str) -> list[str]:
    """Each page of the model, with this key where it takes one."""
    base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    addresses = []
    for pattern in admin.site._registry[model].get_urls():
        route = str(pattern.pattern)
        # The last pattern redirects old addresses, and would match every other.
        if getattr(pattern, "name", None) is not None:
            addresses.append(base + re.sub(r"<(\w+:)?\w+>", key, re.sub(r"^\^|\$$", "", route)))
    return addresses


def send(client: Client, address: str, given: Mapping[str, Any] | None = None, *, post: bool = False) -> Any:
    """Send one request and undo what it did; fail at a 5xx.

    Raises:
        Exception: what the service would have answered with a 500.
    """
    with transaction.atomic():
        answer = client.post(address, given or {}) if post else client.get(address, given or {})
        assert answer.status_code < 500, (address, given, answer.status_code)
        transaction.set_rollback(True)
    return answer


def find_form(answer: Any) -> forms.BaseForm | None:
    """The form that a page shows."""
    context = answer.context or {}
    for name in ("adminform", "form"):
        if name in context:
            found = context[name]
            form = getattr(found, "form", found)
            return form if isinstance(form, forms.BaseForm) else None
    return None


def valid_values(form: forms.BaseForm, given: Mapping[str, str]) -> dict[str, Any]:
    """What a person would send: what the form shows, and something that fits where it shows nothing."""
    values: dict[str, Any] = {}
    for name, field in form.fields.items():
        if isinstance(field, forms.MultiValueField):
            shown = field.widget.decompress(form[name].value())
            values |= {
                f"{name}{part}": value or ""
                for part, value in zip(field.widget.widgets_names, shown, strict=True)
            }
            continue
        value = form[name].value()
        if name in given and value in (None, ""):
            value = given[name]
        elif value in (None, "") and field.required:
            value = "1" if isinstance(field, forms.IntegerField) else "A word 7!"
        if value is not None and value is not False:
            values[name] = value
    return values


def hostile_forms(form: forms.BaseForm, given: Mapping[str, str], *, each: bool) -> Iterator[dict[str, Any]]:
    """The valid values; then those with one hostile value, in each field or in all of them.

    A field of several parts has each value in all of its parts at once, and each part has one of the values alone.
    """
    valid = valid_values(form, given)
    yield valid
    if not each:
        yield from (dict.fromkeys(form.fields, value) for value in HOSTILE.values())
        return
    shown = {name: field for name, field in form.fields.items() if not field.widget.is_hidden}
    for name, field in shown.items():
        of_json = HOSTILE_JSON if isinstance(field, forms.JSONField) else {}
        parts = [name]
        if isinstance(field, forms.MultiValueField):
            parts = [f"{name}{part}" for part in field.widget.widgets_names]
            yield from ({**valid, part: value} for part, value in zip(parts, cycle(HOSTILE.values())))
        for value in (*HOSTILE.values(), *of_json.values()):
            yield {**valid, **dict.fromkeys(parts, value)}


def assert_answers_everything(client: Client, model: type[models.Model], given: Mapping[str, str]) -> None:
    """Open every page of a model, and send every form with every hostile value."""
    row = ensure_row(model)
    for key in FOREIGN_KEYS:
        for address in list_addresses(model, key):
            if key in address:
                send(client, address)
    for address in list_addresses(model, str(row.pk)):
        opened = send(client, address)
        if (form := find_form(opened)) is not None:
            assert_reason_is_asked_for_at_once(opened, form)
            for values in hostile_forms(form, given, each=model._meta.app_label not in OF_DJANGO):
                send(client, address, values, post=True)
            assert_invisible_text_is_refused(client, address, form, given)
    assert_list_answers_everything(client, model, str(row.pk))


def assert_reason_is_asked_for_at_once(answer: Any, form: forms.BaseForm) -> None:
    """The browser asks for a reason that is not given: to send the form would leave the dialog in which it stands."""
    if "why" not in form.fields or answer.context.get("refused"):  # what is refused shows no form
        return
    (around,) = (
        each for each in re.findall(r"(?s)<form.*?</form>", answer.content.decode()) if 'name="why"' in each
    )
    (field,) = re.findall(r'<[^>]*name="why"[^>]*>', around)
    assert re.search(r"\srequired\b", field), field
    assert "maxlength=" in field, field
    assert "novalidate" not in around.partition(">")[0], around[:200]


def assert_invisible_text_is_refused(
    client: Client, address: str, form: forms.BaseForm, given: Mapping[str, str]
) -> None:
    """Write such a text into each field of a form; the page names the field."""
    valid = valid_values(form, given)
    for name, part in list_text_fields(form):
        shown = find_form(send(client, address, {**valid, f"{name}{part}": INVISIBLE}, post=True))
        assert shown is not None, (address, name, part)
        assert name in shown.errors, (address, name, part)


def list_text_fields(form: forms.BaseForm) -> Iterator[tuple[str, str]]:
    """The fields of a form in which people write a text, and the parts of those that have some."""
    for name, field in form.fields.items():
        if isinstance(field, forms.MultiValueField):
            yield from ((name, part) for part in field.widget.widgets_names)
        elif (
            isinstance(field, forms.CharField)
            and not isinstance(field, forms.JSONField | forms.UUIDField)
            and not isinstance(field.widget, forms.HiddenInput | forms.PasswordInput)
        ):
            yield name, ""


def assert_list_answers_everything(client: Client, model: type[models.Model], key: str) -> None:
    (address,) = (a for a in list_addresses(model, "") if a.endswith(f"/{model._meta.model_name}/"))
    opened = send(client, address)
    changes = (opened.context or {}).get("cl")
    parameters = [
        name for spec in getattr(changes, "filter_specs", ()) for name in spec.expected_parameters()
    ]
    hostile = [{name: value} for name in parameters for value in ("abc", "9" * 30, "%d", *DATES)]
    for query in (*QUERIES, *hostile):
        send(client, address, query)
    for query in list_foreign_filters(model) if changes else ():
        refused = send(client, address, query)
        assert refused.status_code == 302, (address, query)
        assert refused.url.endswith("?e=1"), (address, query)
    for name in admin.site._registry[model].linked_lookups if changes else ():
        for value in ("abc", "9" * 30, *DATES):
            send(client, address, {name: value})
    request = RequestFactory().get(address)
    request.user = User.objects.get(is_superuser=True)
    for action in admin.site._registry[model].get_actions(request):
        act = {"action": action, "why": "so", "confirmed": "yes", "post": "yes"}
        for keys in (["abc"], ["a\0"], [key, "9" * 30]):
            send(client, address, {**act, "_selected_action": keys}, post=True)
        for why in ("", HOSTILE["long"], HOSTILE["NUL"], INVISIBLE):
            send(client, address, {**act, "_selected_action": [key], "why": why}, post=True)


def list_foreign_filters(model: type[models.Model]) -> Iterator[dict[str, str]]:
    """Filters that no list offers: a year or a date that Python or PostgreSQL lacks, a pattern that is broken, and
    one by a field of another table."""
    for field in model._meta.concrete_fields:
        yield {f"{field.name}__regex": "("}
        if isinstance(field, models.DateField):
            yield from ({f"{field.name}__year": year} for year in YEARS)
            yield from ({f"{field.name}__date": date} for date in DATES)
        if related := field.related_model:
            yield {f"{field.name}__{related._meta.pk.name}__regex": "("}
            yield from (
                {f"{field.name}__{other.name}__year": "99999"}
                for other in related._meta.concrete_fields
                if isinstance(other, models.DateField)
            )


def ensure_row(model: type[models.Model]) -> models.Model:
    """A row of the model; one that is made up if there is none."""
    if (row := model._base_manager.first()) is not None:
        return row
    return model._base_manager.bulk_create([model(**made_up_values(model))])[0]


NUMBERS = (
    models.IntegerField, models.BigIntegerField, models.PositiveIntegerField, models.PositiveSmallIntegerField,
    models.SmallIntegerField, models.FloatField,
)  # fmt: skip
# What the constraints of a table ask for.
ASKED: dict[str, dict[str, Any]] = {"saga.sagapause": {"saga": "place-order"}, "order.refund": {"amount": 1}}


def made_up_values(model: type[models.Model]) -> dict[str, Any]:
    values: dict[str, Any] = {**ASKED.get(make_label(model), {})}
    for field in model._meta.concrete_fields:
        if (
            field.name in values
            or field.has_default()
            or field.db_default is not models.NOT_PROVIDED
            or field.null
        ):
            continue
        if field.related_model:
            values[field.name] = ensure_row(field.related_model)
        elif field.choices:
            values[field.name] = field.choices[0][0]
        elif type(field) in MADE_UP:
            values[field.name] = MADE_UP[type(field)]()
        elif isinstance(field, models.CharField | models.TextField):
            values[field.name] = "GBP" if field.max_length == 3 else "word"
    return values


MADE_UP: dict[type[models.Field[Any, Any]], Any] = {
    models.UUIDField: uuid4,
    models.DateTimeField: timezone.now,
    models.DateField: timezone.localdate,
    models.JSONField: dict,
    models.BooleanField: bool,
    **{number: lambda: 1 for number in NUMBERS},
}
