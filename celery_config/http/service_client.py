"""Service client: calls another service for people, audits and the watchdog; it carries out no order."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec
from django.conf import settings

from celery_config.contracts.base import decode
from celery_config.errors import CallFailed
from celery_config.http.client import Deadline, DeadlineTransport, forget_stream

SECONDS = 60.0
T = TypeVar("T")
deadline = Deadline()


class ServiceCallError(Exception):
    """A service gave no answer or a wrong one; the text says which service and what to do."""


class ServiceSilent(ServiceCallError):
    """The service gave no answer at all."""


class ServiceCallRefused(ServiceCallError):
    """The service refused the call because it does not fit the present state (409)."""


@dataclass(frozen=True)
class Page:
    """A page of a list, and the address of the next one."""

    results: list[Any]
    next: str | None


@functools.cache
def http_client(process: int, url: str) -> httpx.Client:
    """The client of one service, for the life of the process; all threads share it, but no two processes.

    A client has a TLS context, also for `http://`: two thirds of a megabyte that Python's collector does not see.
    """
    return httpx.Client(base_url=url, trust_env=False, transport=DeadlineTransport(deadline))


class ServiceClient:
    """Calls one other service.

    Args:
        seconds: limit of one call in total.
        caller: who calls, with a token of its own; by default the service of this process.
    """

    def __init__(self, service: str, seconds: float = SECONDS, *, caller: str = "") -> None:
        self.service = service
        self.seconds = seconds
        self.url = settings.SERVICE_URLS[service]
        self.caller = caller or settings.SERVICE
        self.exchanged = 0  # bytes of requests and answers

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self.call("POST", path, json=body)

    def get_pages(self, path: str) -> Iterator[list[Any]]:
        """The rows of a list, page by page."""
        url: str | None = path
        while url:
            page = read_answer(self.service, Page, self.get(url))
            yield page.results
            # Where the next page is, and not at which address: the service says what it likes.
            try:
                url = page.next and httpx.URL(page.next).raw_path.decode()
            except httpx.InvalidURL as error:
                raise ServiceCallError(f"{self.service} names a next page that is none: {error}") from error

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON answer.

        Raises:
            ServiceCallRefused: the service answered 409.
            ServiceSilent: no answer.
            ServiceCallError: another error.
        """
        try:
            token = settings.SERVICE_TOKENS.find_token(self.service, self.caller)
        except CallFailed as error:
            raise ServiceCallError(str(error)) from error
        try:
            # A service may send its answer very slowly, or without an end: the call ends at this time.
            with deadline.hold(self.seconds):
                response = http_client(os.getpid(), self.url).request(
                    method,
                    path,
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=self.seconds,
                    **options,
                )
        except httpx.HTTPError as error:
            raise ServiceSilent(
                f"{self.service} does not answer at {self.url} ({error!r}). Is it running, and is"
                f" {self.service.upper()}_URL right?"
            ) from error
        forget_stream(response)
        self.exchanged += len(response.request.content) + len(response.content)
        if response.is_error:
            kind = ServiceCallRefused if response.status_code == httpx.codes.CONFLICT else ServiceCallError
            raise kind(
                f"{self.service} answered {response.status_code} to {method} {path}: {describe_error(response)}"
            )
        try:
            return response.json()
        except (ValueError, RecursionError) as error:
            raise ServiceCallError(
                f"{self.service} answered {method} {path} with something that is not JSON"
            ) from error


def read_answer(service: str, kind: type[T], answer: Any) -> T:
    """Return a service's answer as a `kind`. Its shape is not taken on trust: somebody else may answer in its name.

    Raises:
        ServiceCallError: it has another shape.
    """
    try:
        return decode(kind, answer)
    except msgspec.ValidationError as error:
        raise ServiceCallError(f"{service} answered what makes no sense: {error}") from error


def describe_error(response: httpx.Response) -> str:
    """The detail of a problem (RFC 9457), or the beginning of the answer."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    detail = body.get("detail") if isinstance(body, dict) else None
    return str(detail or response.text[:500])
