"""Asking the participants what became of a saga's steps, and telling them what a human found out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import structlog

from celery_config.messaging.decisions import Action, Undo
from celery_config.peers import Peer, PeerError
from celery_config.saga.chains import Link
from celery_config.saga.dsl import Saga
from celery_config.saga.effects import Answer, Held

log = structlog.get_logger(__name__)
# A page waits for this; who does not answer by then is shown as not answering.
SECONDS = 5.0


def ask(saga: type[Saga], saga_id: UUID) -> dict[str, Answer]:
    """Return what each participant's barrier says of the saga; None for one that does not answer."""
    return ask_each(list(dict.fromkeys(step.command.service for step in saga.steps)), saga_id)


def ask_each(services: Sequence[str], saga_id: UUID) -> dict[str, Answer]:
    """The same of any services; a choreographed order's id is in the place of a saga's.

    They are asked at once: who waits for the page waits for the slowest only.
    """
    with ThreadPoolExecutor(len(services)) as threads:
        answers = threads.map(ask_one, services, [saga_id] * len(services))
        return dict(zip(services, answers, strict=True))


def ask_one(service: str, saga_id: UUID) -> Answer:
    try:
        with Peer(service, SECONDS) as peer:
            rows = peer.get(f"/api/barrier/?saga={saga_id}&limit=500")["results"]
    except PeerError as error:
        log.warning("a participant does not answer", service=service, error=str(error))
        return None
    return {
        row["step"]: Held(Action(row["action"]), Undo(row["undo"]), row["reply"], row["note"]) for row in rows
    }


def settle(service: str, link: Link, subject: str, answer: dict[str, Any], *, note: str) -> str:
    """Have `service` write `answer` over the open intent of `link`'s operation; return what it says it did.

    Raises:
        PeerError: it did not answer, or refused; the text says why.
    """
    wanted = ("saga", "step", "operation", "command")
    body = {"task": link["task"], **{name: link["kwargs"][name] for name in wanted}}
    body |= {"subject": subject, "answer": answer, "note": note}
    with Peer(service, SECONDS) as peer:
        return str(peer.post("/api/barrier/settle/", body)["settled"])
