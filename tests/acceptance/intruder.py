"""Somebody who has one service's credentials and knows the code; what they try is noted for a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from amqp.exceptions import AccessRefused
from kombu import Connection

from tests.acceptance.shop import Shop
from tests.attempts import Recorder, note_attempt

NO_EMBED: dict[str, Any] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
DEAD_LETTER = "kept as a dead letter; nothing follows"


class Intruder:
    """One service's broker user and message key.

    Args:
        record: keeps what was tried.
    """

    def __init__(self, shop: Shop, service: str, record: Recorder) -> None:
        self.shop, self.service, self.record = shop, service, record
        self.keys = shop.message_keys(service)

    def note(self, what: str, result: str) -> None:
        note_attempt(self.record, "forgeries", self.service, what, result)

    def sign(self, task: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments with the only code that this service can make."""
        return kwargs | self.keys.sign_message(self.service, task, kwargs)

    def send(
        self,
        exchange: str,
        key: str,
        task: str,
        *body: Any,
        chain: list[Any] | None = None,
        embed: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        what: str = "",
        result: str = DEAD_LETTER,
    ) -> bool:
        """Publish a task message; return whether the broker took it.

        Args:
            embed: what follows from the message, in place of a chain.
            headers: further ones.
            what: the forgery, for the table.
            result: what comes of it if the broker takes it, as the test then asserts.
        """
        assert self.shop.stack.rabbitmq is not None
        url = self.shop.stack.rabbitmq.url(self.service)
        with Connection(url, transport_options={"confirm_publish": True}) as connection:
            channel: Any = connection.channel()
            args, kwargs = body
            is_taken = True
            with connection.Producer(channel) as producer:
                try:
                    producer.publish(
                        [args, kwargs, {**NO_EMBED, "chain": chain} if embed is None else embed],
                        exchange=exchange, routing_key=key, serializer="json",
                        headers={"task": task, "id": str(uuid4()), **(headers or {})},
                    )  # fmt: skip
                except AccessRefused:
                    is_taken = False
        of = f"{what or task} as {key!r} of {exchange!r}"
        self.note(of, result if is_taken else "refused by the broker")
        return is_taken


Intrude = Callable[[str], Intruder]
