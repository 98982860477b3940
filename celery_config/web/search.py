"""Search: what people type is an id, the end of one, an e-mail address, a name or another word; an index serves each.

A list's ends of ids are those that it shows. Only a list finds another part of a name than its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.db.models.lookups import Exact
from django.http import HttpRequest

from celery_config.common.identifiers import parse_uuid
from celery_config.db.functions import ENDING_LENGTH, IdEnding

ENDING = re.compile(rf"(?:…|\.\.\.)?([0-9a-fA-F]{{{ENDING_LENGTH}}})")
NOTHING = Q(pk__in=())
MOST_KEYS = 1000
"""How many rows of another table a word may stand for."""


def parse_ending(word: str) -> str:
    """The end of an id as lists show it, `…1a2b3c4d`; empty: the word is none."""
    found = ENDING.fullmatch(word)
    return found[1].lower() if found else ""


def is_email(word: str) -> bool:
    return "@" in word.strip("@")


def match_ending(fields: Iterable[str], ending: str) -> Q:
    """The rows in which one of these ids ends so. Each field has an index of `IdEnding`."""
    return combine(Q(Exact(IdEnding(field), ending)) for field in fields)


def match_any(lookups: Iterable[str], word: Any) -> Q:
    return combine(Q(**{lookup: word}) for lookup in lookups)


def find_keys(model: type[Model], wanted: Q, field: str = "pk") -> list[Any]:
    """The values of a field in the rows of another table; read now, so that an index serves both queries."""
    return [*model._default_manager.filter(wanted).values_list(field, flat=True)[:MOST_KEYS]]


def combine(conditions: Iterable[Q]) -> Q:
    """What holds if one of the conditions does; nothing if there is none."""
    whole: Q | None = None
    for each in conditions:
        whole = each if whole is None else whole | each
    return NOTHING if whole is None else whole


class WordSearch:
    """How an admin finds the rows that a word stands for."""

    search_ids: tuple[str, ...] = ()
    """Fields with a UUID, with an index."""
    search_endings: tuple[str, ...] = ()
    """Those of which an index of `IdEnding` finds the end, which lists show."""
    search_emails: tuple[str, ...] = ()
    """Fields whose beginning an index finds without regard to case."""
    emails_need = ""
    """The permission to see those addresses, if the page does not show them: what is found tells them."""
    search_names: tuple[str, ...] = ()
    """The same of other fields, such as names."""
    search_fields: tuple[str, ...] = ()
    """Other lookups: `reference__exact` is a key, `name__icontains` is not."""

    def find_rows(
        self, request: HttpRequest, rows: QuerySet[Any], word: str, *, keys_only: bool = False
    ) -> QuerySet[Any]:
        """Return those of some rows that a word stands for, as far as the user may know it; see `match_word`."""
        if is_email(word) and self.emails_need and not request.user.has_perm(self.emails_need):
            return rows.none()
        return rows.filter(self.match_word(word, keys_only=keys_only))

    def match_word(self, word: str, *, keys_only: bool = False) -> Q:
        """The rows that a word stands for.

        Args:
            keys_only: leave out lookups that read the whole table.
        """
        if found := parse_uuid(word):
            if self.search_ids:
                return match_any(self.search_ids, found)
        elif is_email(word) and self.search_emails:
            return self.match_email(word)
        lookups = [each for each in self.search_fields if not keys_only or each.endswith("__exact")]
        wanted = match_any([*lookups, *list_beginnings(self.search_names)], word)
        ending = parse_ending(word)
        return wanted | self.match_ending(ending) if ending else wanted

    def match_ending(self, ending: str) -> Q:
        """The rows with an id that ends so."""
        return match_ending(self.search_endings, ending)

    def match_email(self, address: str) -> Q:
        """The rows with an e-mail address that begins so."""
        return match_any(list_beginnings(self.search_emails), address)


def list_beginnings(fields: Iterable[str]) -> list[str]:
    """The lookups that find the beginning of these fields; each has an index of `AddBeginningIndex`."""
    return [f"{field}__istartswith" for field in fields]
