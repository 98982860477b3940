"""Accounts of people who sign on: found by the provider's own id of them, in the groups that it names now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from celery_config.common.roles import Role, list_roles
from celery_config.common.visible_text import is_visible
from celery_config.web.change_log import Kind, record_changes
from celery_config.web.models import ProviderIdentity

log = structlog.get_logger(__name__)
BY = "sign-on"
"""Who changed an account, in the change log."""
NO_GROUP = "the provider names no group of yours that may use this service"
NAME_LENGTH, ID_LENGTH = 150, 255


class SignOnRefused(Exception):
    """The provider knows the person, and this service does not let them in; the text says why."""


class NoPasswords(ModelBackend):
    """Permissions as always, and no password lets a person in."""

    def authenticate(self, *args: Any, **kwargs: Any) -> None:
        """Know no password."""
        return


@dataclass(frozen=True)
class Person:
    """What the provider says of a person.

    Args:
        subject: its own id of them, which never changes.
        roles: the shipped groups that theirs stand for.
    """

    subject: str
    name: str
    email: str
    roles: frozenset[Role]


def read_person(claims: Mapping[str, Any]) -> Person:
    """Read the claims of a checked ID token.

    Raises:
        SignOnRefused: they lack an id or a name, or one is too long.
    """
    subject, email = claims.get("sub"), claims.get("email")
    name = claims.get(settings.OIDC_NAME_CLAIM) or email or subject
    # What is checked is what an account would keep: a wide colon becomes a colon, and one sign eighteen letters.
    name = get_user_model().normalize_username(name)
    for text, most in ((subject, ID_LENGTH), (name, NAME_LENGTH)):
        if not (isinstance(text, str) and is_visible(text) and len(text) <= most and "\0" not in text):
            raise SignOnRefused("the provider gives you no id or no name that this service can keep")
    roles = list_roles(claims.get(settings.OIDC_GROUPS_CLAIM), settings.OIDC_GROUPS)
    is_email = isinstance(email, str) and email.isprintable()
    return Person(str(subject), str(name), str(email) if is_email else "", roles)


def find_account(person: Person) -> Any:
    """Return the person's account with the groups that the provider names now; make it at the first sign-on.

    Only the shipped groups are changed: an administrator's own groups, and `superuser`, stay as they are.

    Raises:
        SignOnRefused: the account is closed, is in no group, or another one has the name.
    """
    with transaction.atomic():
        identity = (
            ProviderIdentity.objects.select_related("user")
            .select_for_update(of=("self",))
            .filter(issuer=settings.OIDC_ISSUER, subject=person.subject)
            .first()
        )
        if identity is None and not person.roles:
            raise SignOnRefused(NO_GROUP)
        user = identity.user if identity else make_account(person)
        if not user.is_active:
            raise SignOnRefused("your account here is closed")
        set_roles(user, person.roles)
    if not (user.groups.exists() or user.is_superuser):
        raise SignOnRefused(NO_GROUP)
    return user


def make_account(person: Person) -> Any:
    """Make the account of a person. An account that is there already is theirs only if an administrator links it.

    Raises:
        SignOnRefused: another account has the name, or it is none that an account may have.
    """
    # People often choose it themselves, and the trail must not take them for a service, or for another person.
    name = person.name
    if ":" in name or name.casefold() == BY or name != name.strip() or not name.isprintable():
        raise SignOnRefused(
            "your name at the provider is none that an account may have, such as one with a colon"
        )
    try:
        with transaction.atomic():
            if get_user_model().objects.filter(username__iexact=name).exists():
                raise IntegrityError
            user = get_user_model().objects.create_user(name, email=person.email[:254])
            ProviderIdentity.objects.create(issuer=settings.OIDC_ISSUER, subject=person.subject, user=user)
    except IntegrityError as error:
        raise SignOnRefused(
            f"another account here is called {name!r}, or almost so; an administrator may rename it"
        ) from error
    return user


def set_roles(user: Any, roles: frozenset[Role]) -> None:
    """Put the account into these shipped groups and no other shipped one; staff is who is in a group."""
    before = {*user.groups.filter(name__in=Role).values_list("name", flat=True)}
    wanted = {group.name: group for group in Group.objects.filter(name__in=roles)}
    if missing := {*roles} - {*wanted}:
        log.warning("a shipped group is not there any more", groups=sorted(missing))
    user.groups.remove(*Group.objects.filter(name__in=before - {*wanted}))
    user.groups.add(*(wanted[name] for name in {*wanted} - before))
    is_staff = bool(user.is_superuser or user.groups.exists())
    changed: dict[str, list[Any]] = {}
    if before != {*wanted}:
        changed["groups"] = [sorted(before), sorted(wanted)]
    if user.is_staff != is_staff:
        changed["is_staff"] = [user.is_staff, is_staff]
        user.is_staff = is_staff
        user.save(update_fields=["is_staff"])
    if changed:
        record_changes(Kind.ACCOUNT, {user.get_username()[:64]: changed}, by=BY)
