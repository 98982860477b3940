"""The case file of an order: everything that is known of it, to be attached to a ticket. Personal data are masked.

What the customer gave (name, e-mail, address, card) is masked wherever it stands, also in free texts that repeat it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from celery_config.common.money import money
from celery_config.errors import OperatorRefused
from celery_config.messaging.contradictions import TRIED_WORDS
from celery_config.saga.dead_letters.reading import list_names, show_fault
from celery_config.saga.engine.flows import find_flow
from celery_config.saga.models import DeadLetter, OperatorAction, SagaDecision, SagaInstance
from celery_config.saga.operations import barrier_client
from celery_config.saga.operations.acts import describe_effect, describe_target
from celery_config.saga.operations.differences import describe_held
from celery_config.saga.operations.explanation import explain
from celery_config.saga.operations.flow_reader import read_flow
from celery_config.saga.operations.history import tell_decision
from celery_config.saga.operations.strip import draw_strip
from celery_config.saga.operations.wording import describe_status
from order_project import selectors
from order_project.models import Choreography, Order, SeenEvent

MASK = "[masked]"
# A country and a city say little of a person, and much of why a carrier refuses.
SHOWN_PARTS = ("country", "city")
SHORTEST = 3
"""A shorter text than this is not masked elsewhere: it would be a part of many words."""


def make_case_file(order: Order, *, ask: bool = True) -> dict[str, Any]:
    """Return what is known of an order, as JSON values.

    Args:
        ask: also ask the participants what their barriers say now.
    """
    row = selectors.read_flows([order])[order.pk]
    facts = read_flow(row)
    letters = DeadLetter.objects.filter(saga=row.pk).order_by("received_at")
    actions = OperatorAction.objects.filter(subject=str(order.pk)).order_by("at")
    known = {
        "order": str(order.pk),
        "saga": str(order.saga or ""),
        "flow": order.flow.value,
        "made_at": timezone.now().isoformat(),
        "sentence": explain(facts).text,
        "status": {"order": order.status, "flow": row.status, "in_words": describe_status(row.status)},
        "total": money(order.total, order.currency),
        "placed_at": order.created_at.isoformat(),
        "ended_at": order.ended_at and order.ended_at.isoformat(),
        "address": {part: order.address.get(part, "") for part in SHOWN_PARTS},
        "lines": [
            f"{line.quantity} × {line.sku} at {money(line.unit_price, order.currency)}" for line in order.lines.all()
        ],
        "cause": row.cause,
        "waits_for_a_decision": {
            "by": row.answer_by and row.answer_by.isoformat(), "of": row.owner, "because": row.fingerprint,
        },
        "steps": [
            {
                "step": cell.name, "service": cell.service, "state": cell.describe_state(facts.now),
                "reason": cell.reason,
                "at": cell.at and cell.at.isoformat(),
            }
            for cell in draw_strip(facts)
        ],
        "tries": [
            list_values(each, "at", "step", "number", "code", "reason", "next_at")
            | {"tried": TRIED_WORDS.get(each.operation, each.operation)}
            for each in facts.tries
        ],
        "decisions": list_decisions(row) if isinstance(row, SagaInstance) else [],
        "events": list_events(row) if isinstance(row, Choreography) else [],
        "services_say": ask_services(row) if ask else {},
        "holds": row.held_times or [],
        "operators": [describe_action(each) for each in actions],
        "dead_letters": [describe_letter(each) for each in letters],
    }  # fmt: skip
    masked: dict[str, Any] = mask(known, find_personal_texts(order, row))
    return masked


def list_values(row: Any, *fields: str) -> dict[str, Any]:
    """Return these fields of a row, times as texts."""
    values = {name: getattr(row, name) for name in fields}
    return {name: each.isoformat() if isinstance(each, datetime) else each for name, each in values.items()}


def list_decisions(row: SagaInstance) -> list[dict[str, Any]]:
    made = SagaDecision.objects.filter(saga=row).order_by("id")
    return [list_values(each, "at", "detail") | {"decision": tell_decision(each).text} for each in made]


def describe_action(did: OperatorAction) -> dict[str, Any]:
    told = {"what": describe_target(did.what), "effect": describe_effect(did.effect)}
    return list_values(did, "at", "verb", "by", "why") | told


def describe_letter(letter: DeadLetter) -> dict[str, Any]:
    """Return what all who see letters read of one: its sender may have written anybody's name into it."""
    told = list_values(letter, "received_at", "reason", "consequence")
    return told | list_names(letter) | {"fault": show_fault(letter)}


def list_events(row: Choreography) -> list[dict[str, Any]]:
    seen = SeenEvent.objects.filter(choreography=row).order_by("at", "id")
    return [list_values(each, "at", "kind") for each in seen]


def ask_services(row: Any) -> dict[str, Any]:
    """Return what each participant says now of its steps; a text if it does not answer."""
    try:
        steps = find_flow(type(row)).find_course(row).steps
    except OperatorRefused as refusal:
        return {"refused": str(refusal)}
    return {
        service: "does not answer"
        if answer is None
        else {
            step: {"what": describe_held(held), "reply": held.reply, "note": held.note}
            for step, held in answer.items()
        }
        for service, answer in barrier_client.read_barriers(steps, row.pk).items()
    }


def find_personal_texts(order: Order, row: Any) -> list[str]:
    """Return the texts that are masked wherever they stand, the longest first."""
    data: Mapping[str, Any] = row.data if isinstance(row, SagaInstance) else row.placed
    texts = [value for part, value in order.address.items() if part not in SHOWN_PARTS]
    texts.append(str(data.get("payment_token", "")) if isinstance(data, Mapping) else "")
    if customer := order.customer:
        texts += [customer.name, customer.email, customer.reference or "", str(customer.pk)]
        for address in (customer.billing_address, customer.delivery_address):
            texts += [value for part, value in (address or {}).items() if part not in SHOWN_PARTS]
    found = {text for text in texts if isinstance(text, str) and len(text) >= SHORTEST}
    return sorted(found, key=len, reverse=True)


def mask(value: Any, texts: Iterable[str]) -> Any:
    """Return the JSON value without these texts."""
    if isinstance(value, str):
        for text in texts:
            value = value.replace(text, MASK)
        return value
    if isinstance(value, Mapping):
        return {name: mask(each, texts) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [mask(each, texts) for each in value]
    return value
