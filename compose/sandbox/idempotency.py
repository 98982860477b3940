"""Idempotency keys: a POST is done once for its Idempotency-Key.

The work and its answer are committed together. After a crash a key is therefore either unknown, or has its full effect
and its answer. A second request with the same key waits until the first one is done.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from compose.sandbox.http import Answer, Endpoint, InvalidRequest, KeyConflict, Refused, Request, Shop

MAX_KEY = 255


class Keys:
    """The keys whose work is being done, and the stored answers of all others."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._guard = threading.Lock()
        self._in_work: dict[tuple[str, str], tuple[threading.Lock, int]] = {}

    def answer(
        self, side: str, request: Request, work: Endpoint, first: Callable[[], None]
    ) -> tuple[Answer, bool]:
        """Answer a POST from the store, or do its work now and store the answer.

        Args:
            side: the owner of the key, "provider" or "carrier".
            work: the endpoint; it runs in one transaction with the storing of its answer.
            first: is called before the work of a new key, while requests with the same key wait.

        Returns:
            The answer, and whether it came from the store.

        Raises:
            InvalidRequest: the key is missing or too long.
            KeyConflict: the key belongs to a request with another path or body.
        """
        if not 0 < len(request.key) <= MAX_KEY:
            raise InvalidRequest(
                "invalid_key", f"send an Idempotency-Key header of 1 to {MAX_KEY} characters"
            )
        request_hash = _hash(request)
        with self._alone(side, request.key):
            stored = self._shop.store.row(
                "SELECT request_hash, status, body FROM answers WHERE side = ? AND key = ?", side, request.key
            )
            if stored is not None:
                if stored["request_hash"] != request_hash:
                    raise KeyConflict(
                        "idempotency_conflict",
                        "this Idempotency-Key was used for another request; use a new key",
                    )
                return Answer(stored["status"], json.loads(stored["body"])), True
            first()
            with self._shop.store.transaction():
                try:
                    answer = work(self._shop, request)
                except Refused as refusal:
                    answer = refusal.answer()
                self._shop.store.run(
                    "INSERT INTO answers (side, key, request_hash, status, body) VALUES (?, ?, ?, ?, ?)",
                    side, request.key, request_hash, answer.status, json.dumps(answer.body),
                )  # fmt: skip
            return answer, False

    @contextmanager
    def _alone(self, side: str, key: str) -> Iterator[None]:
        with self._guard:
            lock, users = self._in_work.get((side, key), (threading.Lock(), 0))
            self._in_work[side, key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._in_work.pop((side, key))
                if users > 1:
                    self._in_work[side, key] = lock, users - 1


def _hash(request: Request) -> bytes:
    body = json.dumps(request.body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{request.path}\n{body}".encode()).digest()
