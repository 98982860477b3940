"""Who may do what, by docs/reference/permissions.yaml: every address and method, every page and action of the admin.

A refusal is 401, 403 or the way to the login. Any other answer means that the call was let in, though its body is empty
and no row has its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.contrib.messages.storage.fallback import FallbackStorage
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory, override_settings
from django.urls import URLPattern, URLResolver, get_resolver, resolve, reverse
from rest_framework.test import APIClient

from celery_config.common.roles import Role
from celery_config.common.service_calls import CALLS
from celery_config.common.services import SERVICES
from celery_config.copies.registry import publications
from celery_config.web.permissions import ACTS
from docs.permissions_table import read_tables
from tests.attempts import GROUP, Recorder, note_attempt
from tests.service.addresses import make_address
from tests.service.peer import bearer

EVERYONE, ANY_USER, STAFF, NO_PERSON = "everyone", "any user", "staff", "no person"
# Who may change rows sees them, too; the story and the counts of what was acted on are parts of pages.
SEEING = ("see", "story", "acted", "each", "progress")
PAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "see": (("get", "changelist"), ("get", "change")),
    "add": (("get", "add"), ("post", "add")),
    "change": (("post", "change"),),
    "delete": (("get", "delete"), ("post", "delete")),
}
"""The requests of each word of the table; another word is a page of its own."""
DJANGOS = {"changelist", "change", "add", "delete", "history"}
KEY = str(UUID(int=7))
REFUSED = (401, 403)


def read_table() -> Any:
    """The part of the table that is about this service: `api` and `admin`."""
    return read_tables()[settings.SERVICE]


def iterate_routes(
    patterns: Iterable[URLPattern | URLResolver] | None = None, above: str = ""
) -> Iterator[tuple[str, URLPattern]]:
    """Each address outside of the admin, as its patterns write it."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        route = above + str(each.pattern)
        if isinstance(each, URLResolver):
            if route != "admin/":
                yield from iterate_routes(each.url_patterns, route)
        else:
            yield route, each


def list_calls() -> dict[str, str]:
    """Every method of every address outside of the admin: `POST /api/orders/`, each with an address to call."""
    found: dict[str, str] = {}
    for route, pattern in iterate_routes():
        view: Any = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
        is_api = hasattr(view, "handle_exception")  # others are pages of Django's
        methods = [m for m in ACTS if hasattr(view, m.lower()) and m.lower() in view.http_method_names]
        address = make_address(route).replace(
            "/published/x1/", f"/published/{next(iter(publications), 'x1')}/"
        )
        found |= {f"{method} /{route}": address for method in (methods if is_api else ["GET"])}
    return found


def as_change(permission: str) -> str:
    """The permission to change what a permission lets see."""
    return permission.replace(".view_", ".change_")


class Person:
    """People with permissions of the test's choice, without rows for them."""

    def __init__(self) -> None:
        self.row = get_user_model().objects.create_user("walker")
        self.every = {
            f"{app}.{name}"
            for app, name in Permission.objects.values_list("content_type__app_label", "codename")
        }
        self.groups: dict[str, set[str]] = {role.value: set() for role in Role}
        held = Group.objects.filter(name__in=Role, permissions__isnull=False)
        for group, app, name in held.values_list(
            "name", "permissions__content_type__app_label", "permissions__codename"
        ):
            self.groups[group].add(f"{app}.{name}")

    def make(self, *, staff: bool, permissions: Iterable[str] = ()) -> Any:
        user = get_user_model()(pk=self.row.pk, username="walker", is_staff=staff)
        user._perm_cache = set(permissions)
        return user

    def list_cases(self, people: str, *, seeing: bool = False) -> list[tuple[str, Any, bool]]:
        """Who tries a call, and whether the table lets them.

        Args:
            seeing: a page of the admin is also seen by those who may change its rows.
        """
        needed = set() if people in (EVERYONE, ANY_USER, STAFF, NO_PERSON) else set(people.split(" + "))
        assert needed <= self.every, f"no such permission: {needed - self.every}"
        open_to_staff = people in (EVERYONE, ANY_USER, STAFF)
        cases = [
            ("anonymous", None, people == EVERYONE),
            ("a user", self.make(staff=False), people in (EVERYONE, ANY_USER)),
            (
                "a user with all permissions",
                self.make(staff=False, permissions=self.every),
                people in (EVERYONE, ANY_USER),
            ),
            ("staff", self.make(staff=True), open_to_staff),
            (
                "staff with what is needed",
                self.make(staff=True, permissions=needed),
                open_to_staff or bool(needed),
            ),
        ]
        for group, held in self.groups.items():
            enough = needed <= held or (seeing and {as_change(each) for each in needed} <= held)
            cases.append(
                (
                    f"{GROUP} {group}",
                    self.make(staff=True, permissions=held),
                    open_to_staff or bool(needed and enough),
                )
            )
        for each in sorted(needed):
            others = self.every - {each} - ({as_change(each)} if seeing else set())
            cases.append((f"staff without {each}", self.make(staff=True, permissions=others), False))
        if people == NO_PERSON:
            cases.append(("staff with all permissions", self.make(staff=True, permissions=self.every), False))
        return cases


@override_settings(FLOW_CHECKS={}, SERVICE_URLS=dict.fromkeys(SERVICES, "http://127.0.0.1:1"))
def find_faults_of_api(record_property: Recorder) -> list[str]:
    """Every call that is let in or refused otherwise than the table says, and every one that it does not have."""
    table, calls, faults = read_table()["api"], list_calls(), []
    faults += [f"{call} is not in the table" for call in calls if call not in table]
    faults += [f"{call} is in the table, and does not exist" for call in table if call not in calls]
    person, client = Person(), APIClient()
    for call in sorted(calls.keys() & table.keys()):
        row, method = table[call], call.split()[0].lower()
        for who, user, allowed in person.list_cases(row["people"]):
            client.credentials()
            client.force_authenticate(user)
            status = getattr(client, method)(calls[call], {}, **make_body(method)).status_code
            note_attempt(record_property, settings.SERVICE, who, call, str(status))
            if (status not in REFUSED) is not allowed:
                faults.append(f"{call} by {who}: {status}")
        client.force_authenticate(None)
        for caller in CALLS[settings.SERVICE]:
            client.credentials(HTTP_AUTHORIZATION=bearer(caller))
            status = getattr(client, method)(calls[call], {}, **make_body(method)).status_code
            note_attempt(record_property, settings.SERVICE, f"token of {caller}", call, str(status))
            allowed = row["people"] == EVERYONE or caller in row.get("callers", [])
            if (status not in REFUSED) is not allowed:
                faults.append(f"{call} by {caller}: {status}")
    return faults


def make_body(method: str) -> dict[str, str]:
    return {} if method == "get" else {"format": "json"}


@override_settings(FLOW_CHECKS={}, SERVICE_URLS=dict.fromkeys(SERVICES, "http://127.0.0.1:1"))
def find_faults_of_admin(record_property: Recorder) -> list[str]:
    """The same of the pages of the admin, and of the actions on its lists."""
    table, faults, person = read_table()["admin"], [], Person()
    models = {model._meta.label_lower: model_admin for model, model_admin in admin.site._registry.items()}
    faults += [f"{label} is in the table or the admin alone" for label in {*models} ^ {*table}]
    for label in sorted(models.keys() & table.keys()):
        model_admin, row = models[label], dict(table[label])
        actions: dict[str, str] = row.pop("actions", {})
        pages = {
            each.name.removeprefix(f"{label.replace('.', '_')}_"): each
            for each in model_admin.get_urls()
            if isinstance(each, URLPattern) and each.name
        }
        if (own := {*pages} - DJANGOS) != {*row} - {*PAGES}:
            faults.append(f"{label} has the pages {sorted(own)}")
        for word, people in row.items():
            for method, page in PAGES.get(word, (("get", word), ("post", word))):
                if page in pages:
                    takes_id = "object_id" in str(pages[page].pattern) or "<id>" in str(pages[page].pattern)
                    address = reverse(
                        f"admin:{pages[page].name}", args=[find_key(model_admin)] if takes_id else []
                    )
                    for who, user, allowed in person.list_cases(people, seeing=word in SEEING):
                        is_open = is_let_in(method, address, user)
                        note_page(record_property, who, f"{method.upper()} {label} {page}", is_open)
                        if is_open is not allowed:
                            faults.append(f"{method} {address} by {who}")
        for action, people in actions.items():
            for who, user, allowed in person.list_cases(people):
                if user and user.is_staff:
                    is_offered = action in find_actions(model_admin, user)
                    note_page(record_property, who, f"action {label} {action}", is_offered)
                    if is_offered is not allowed:
                        faults.append(f"{label}: {action} for {who}")
        if (every := find_actions(model_admin, person.make(staff=True, permissions=person.every))) != {
            *actions
        }:
            faults.append(f"{label} has the actions {sorted(every)}")
    return faults


@override_settings(FLOW_CHECKS={}, SERVICE_URLS=dict.fromkeys(SERVICES, "http://127.0.0.1:1"))
def find_faults_of_site(record_property: Recorder) -> list[str]:
    """The same of the admin's own pages; of each part of the board also which permissions show something of it."""
    table, person, faults = read_table(), Person(), []
    site: Any = admin.site
    pages = {each.name: each for each in site.extra_urls()}
    faults += [f"{name} is in the table or the admin alone" for name in {*pages} ^ {*table["site"]}]
    faults += [f"{part} is in the table or the board alone" for part in {*settings.BOARD} ^ {*table["board"]}]
    for name in pages.keys() & table["site"].keys():
        for part in settings.BOARD if name == "board" else [None]:
            address = reverse(f"admin:{name}", args=[part] if part else [])
            for who, user, allowed in person.list_cases(table["site"][name]):
                is_open = is_let_in("get", address, user)
                note_page(record_property, who, f"GET {address}", is_open)
                if is_open is not allowed:
                    faults.append(f"{address} by {who}")
    for part, permissions in table["board"].items():
        everything = person.make(staff=True, permissions=person.every)
        found = {
            each
            for each in person.every
            if differs(part, person.make(staff=True, permissions=person.every - {each}), everything)
        }
        if found != {*permissions}:
            faults.append(f"{part} shows something for {sorted(found)}")
        if differs(part, person.make(staff=True, permissions=permissions), everything):
            faults.append(f"{part} shows more to those who may see everything")
        if "<h2>" in read_part(part, person.make(staff=True)):
            faults.append(f"{part} shows something to all staff")
    return faults


def differs(part: str, user: Any, everything: Any) -> bool:
    """Whether a part of the board shows a person something else than it shows one who may see everything.

    It shows times, and a minute may end between two looks: only a difference that stays counts.
    """
    return all(read_part(part, user) != read_part(part, everything) for _ in range(2))


def read_part(part: str, user: Any) -> str:
    view, arguments, keywords = resolve(address := reverse("admin:board", args=[part]))
    return str(view(make_request("get", address, user), *arguments, **keywords).content.decode())


def note_page(record_property: Recorder, who: str, what: str, is_open: bool) -> None:
    note_attempt(record_property, f"{settings.SERVICE}'s admin", who, what, "open" if is_open else "closed")


def find_key(model_admin: Any) -> str:
    """A key of no row; of accounts one that there is, since Django answers 404 before it asks for permissions."""
    return str(get_user_model().objects.get().pk) if model_admin.model is get_user_model() else KEY


def make_request(method: str, address: str, user: Any) -> Any:
    request: Any = getattr(RequestFactory(), method)(address)
    request.user, request.session = user or AnonymousUser(), {}
    request._messages, request._dont_enforce_csrf_checks = FallbackStorage(request), True
    return request


def is_let_in(method: str, address: str, user: Any) -> bool:
    view, arguments, keywords = resolve(address)
    request = make_request(method, address, user)
    request.resolver_match = resolve(address)
    try:
        answer = view(request, *arguments, **keywords)
    except PermissionDenied:
        return False
    return answer.status_code != 403 and not answer.get("Location", "").startswith(reverse("admin:login"))


def find_actions(model_admin: Any, user: Any) -> set[str]:
    """The actions that a list offers a user."""
    return {*model_admin.get_actions(make_request("get", "/", user))}
