"""Idempotency keys: a client's request has its effect once, however often it is sent (rule 1, the start).

A key and the effect of its request are one transaction, so neither is there without the other. A twin waits for that
transaction, and the primary key decides. A refused request leaves its key free. Kept are digests, the status, and the
id of what was made: an answer is rebuilt from the rows, and no secret or name lies here.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import OperationalError, models, transaction
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from celery_config.common.service_calls import OPERATOR, SHARED, name_caller
from celery_config.db import bulk
from celery_config.messaging.models import IdempotencyKey
from celery_config.web.filters import ParameterFilter
from celery_config.web.idempotency_keys import (
    FIELD,
    REPLAYED,
    SCHEMA,
    KeyGone,
    KeyInFlight,
    KeyReused,
    KeyUse,
    parse_key,
    read_key,
    refuse_key,
    set_key_use,
)

T = TypeVar("T")
CLAIMED = ("digest", "request_hash", "status")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """How a POST answers, the first time and when it is repeated.

    Args:
        render: makes the body of the answer.
        find: gives what was made by its name; raises ObjectDoesNotExist when it is gone.
        name: what is stored of what was made: its id, or a few words or numbers. Nothing personal.
        subject: the order, customer or saga that it is about; an erasure finds the key by it.
        location: gives the address of what was made, for a header of the answer.
    """

    render: Callable[[T, Request], Any]
    find: Callable[[str], T]
    status: int = status.HTTP_200_OK
    name: Callable[[T], str] = lambda made: str(made.pk)  # type: ignore[attr-defined]
    subject: Callable[[T], UUID | None] = lambda made: None
    location: Callable[[T], str] | None = None

    def respond(self, made: T, request: Request, status: int, *, repeated: bool) -> Response:
        headers = {"Location": self.location(made)} if self.location else {}
        if repeated:
            headers[REPLAYED] = "true"
        return Response(self.render(made, request), status=status, headers=headers)


def find_row(model: type[models.Model]) -> Callable[[str], Any]:
    """Return what finds a row of this model by its primary key as a text."""
    return lambda name: model._default_manager.get(pk=name)


def answer_once(answer: Answer[T]) -> Callable[[Callable[..., T]], Callable[..., Response]]:
    """Return a decorator for a view's `post` that returns what it made, and whose effect is one transaction.

    With a key, the key is claimed before anything else of the request: a repeat is not judged by what the first one
    changed. Without one, the method is simply called.
    """

    def decorate(make: Callable[..., T]) -> Callable[..., Response]:
        @set_key_use(KeyUse.TAKEN)
        @functools.wraps(make)
        def post(view: Any, request: Request, *args: Any, **options: Any) -> Response:
            if not (key := read_key(request)):
                made = make(view, request, *args, **options)
                return answer.respond(made, request, answer.status, repeated=False)
            with report_in_flight(), transaction.atomic():
                row = IdempotencyKey(
                    digest=digest_key(name_client(request), key),
                    request_hash=hash_request(request),
                    status=answer.status,
                )
                if not bulk.insert_new(IdempotencyKey, [row], CLAIMED, returning="digest"):
                    made, first_status = find_made(answer, row)
                    return answer.respond(made, request, first_status, repeated=True)
                made = make(view, request, *args, **options)
                IdempotencyKey.objects.filter(pk=row.pk).update(
                    made=answer.name(made), subject=answer.subject(made)
                )
            return answer.respond(made, request, answer.status, repeated=False)

        return post

    return decorate


def find_made(answer: Answer[T], claimed: IdempotencyKey) -> tuple[T, int]:
    """Return what the first request with this key made, and the status of its answer.

    Raises:
        KeyReused: it was another request.
        KeyGone: what it made is gone.
        KeyInFlight: the key was deleted at this moment, as too old.
    """
    earlier = IdempotencyKey.objects.filter(pk=claimed.pk).first()
    if earlier is None:
        raise KeyInFlight
    check_repeat(earlier, claimed.request_hash)
    try:
        return answer.find(earlier.made), earlier.status
    except ObjectDoesNotExist as error:
        raise KeyGone from error


def check_repeat(earlier: IdempotencyKey, request_hash: str) -> None:
    """
    Raises:
        KeyReused: the key stands for another request.
        KeyGone: an erasure has blanked what the key stands for.
    """
    if not earlier.made:
        raise KeyGone
    if earlier.request_hash != request_hash:
        raise KeyReused


def name_client(request: Request) -> str:
    """Whose idempotency keys these are. Programs that repeat a request may change from the shared token meanwhile."""
    name = str(request.user.pk or request.user.get_username())
    return name_caller(OPERATOR) if name == name_caller(SHARED) else name


def digest_key(client: str, key: str) -> str:
    """Return the SHA-256 (hex) of a client's key: a key may hold a name, and two clients may use the same one."""
    return hashlib.sha256(f"{client}\n{key}".encode()).hexdigest()


def hash_request(request: Request) -> str:
    """Return the SHA-256 (hex) of a request: its address, and its body as JSON in one form."""
    content = [request.method, request.path, request.data]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@contextmanager
def report_in_flight() -> Iterator[None]:
    """
    Raises:
        KeyInFlight: the block waited too long for another request with one of its keys.
    """
    try:
        yield
    except OperationalError as error:
        # PostgreSQL names the table in which the wait was for a row: a lock elsewhere is no twin.
        context = getattr(getattr(error.__cause__, "diag", None), "context", "") or ""
        if IdempotencyKey._meta.db_table in context:
            raise KeyInFlight from error
        raise


class MadeByKey(ParameterFilter):
    """`?idempotency_key=`: what the caller made with this key; of others' keys nothing."""

    name, description, schema = FIELD, "what you made with this Idempotency-Key", SCHEMA

    def narrow(self, request: Request, queryset: Any, text: str) -> Any:
        try:
            digest = digest_key(name_client(request), parse_key(text))
        except ValueError as error:
            raise refuse_key(FIELD, str(error)) from error
        made = IdempotencyKey.objects.filter(pk=digest).values_list("made", flat=True).first()
        try:
            return queryset.filter(pk=made) if made else queryset.none()
        except (ValueError, ValidationError):  # the key made something of another kind
            return queryset.none()
