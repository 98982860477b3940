"""Flower's logins: too many wrong ones from one address lock it for a while. One process counts them in memory."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from tornado import web

from celery_config.common.client_addresses import find_client

log = logging.getLogger("flower")
MOST_ADDRESSES = 10_000


class FailedLogins:
    """The failed logins of each address.

    Args:
        limit: so many lock the address.
        seconds: from the last failure until the lock ends.
        clock: seconds, which never go back.
    """

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.seconds, self.clock = limit, seconds, clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def is_locked(self, address: str) -> bool:
        return self._count(address) >= self.limit

    def add(self, address: str) -> None:
        self._failures[address] = (self._count(address) + 1, self.clock())
        self._failures.move_to_end(address)
        if len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)

    def forget(self, address: str) -> None:
        self._failures.pop(address, None)

    def _count(self, address: str) -> int:
        count, at = self._failures.get(address, (0, 0.0))
        return count if self.clock() - at < self.seconds else 0


def guard(handler: type[Any], failed: FailedLogins) -> None:
    """Let a handler of Flower, and those that inherit from it, refuse addresses that guess; and let none frame them."""
    check_login, set_headers = handler.get_current_user, handler.set_default_headers

    def get_current_user(self: Any) -> Any:
        address = find_client(self.request.remote_ip)
        if failed.is_locked(address):
            raise web.HTTPError(
                HTTPStatus.TOO_MANY_REQUESTS, f"too many logins failed; wait {failed.seconds:g} s"
            )
        try:
            user = check_login(self)
        except web.HTTPError as error:
            # Browsers first ask without a login.
            if error.status_code == HTTPStatus.UNAUTHORIZED and "Authorization" in self.request.headers:
                failed.add(address)
                log.warning("a login failed: address %s, locked: %s", address, failed.is_locked(address))
            raise
        failed.forget(address)
        return user

    def set_default_headers(self: Any) -> None:
        set_headers(self)
        self.set_header("X-Frame-Options", "DENY")
        self.set_header(
            "Content-Security-Policy", "frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
        )
        self.set_header("Referrer-Policy", "same-origin")

    handler.get_current_user, handler.set_default_headers = get_current_user, set_default_headers
