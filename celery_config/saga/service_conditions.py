"""Conditions of services, of which somebody is told: what each says at `/flowz`, and that one does not answer.

The checks that every package registers for `/flowz` are its conditions: no worker, messages that are sent late, copies
and books that differ. The order service's relay asks every ten seconds; while it does not, the notifier asks itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings

from celery_config.common.conditions import Condition, ConditionKind, Severity
from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.copies.freshness import LAG_UNKNOWN
from celery_config.messaging.measures import NO_RELAY
from celery_config.messaging.observations import compute_age, find_observation
from celery_config.saga.measures import read_standstill
from celery_config.saga.operations.services import LOOK_SECONDS, SERVICES_SEEN, SILENT, ask_service
from celery_config.saga.operations.wording import capitalize, end_sentence
from celery_config.web.elsewhere import admin_url

PATIENCE = 30.0
"""In seconds at a scale of one: a process that is restarted is not told of."""
LOOKS_OLD = 3
BROKER, WORKERS, RELAY = "broker", "workers", "relay"
KINDS: Mapping[str, tuple[ConditionKind, Severity]] = {
    WORKERS: (ConditionKind.NO_CONSUMER, Severity.PAGE),
    RELAY: (ConditionKind.RELAY, Severity.PAGE),
    "set_aside": (ConditionKind.RELAY, Severity.PAGE),
    "copies": (ConditionKind.COPY, Severity.TICKET),
    "books": (ConditionKind.BOOKS, Severity.PAGE),
}
"""By the name of a check; others are of the kind `service`."""
NOT_TOLD = (
    # Told by other conditions of the order service, or chosen by a person.
    "saga_time", "participants", "hindrances", "deadlines", "pauses", "notifier", "proof",
)  # fmt: skip
WORDS = {
    WORKERS: "{service} has no worker that takes its messages: {text}",
    RELAY: "{service} does not send its messages: {text}",
    "set_aside": "{service} cannot send messages: {text}",
    "copies": "Copies of {service}: {text}",
    "books": "The books of {service}: {text}",
}
UNKNOWN, OK, WARNING = ("unknown", LAG_UNKNOWN), "ok", "warning: "


def find_troubles() -> Iterator[Condition]:
    """What the services say of themselves."""
    told = read_answers()
    _, stands_for, _ = read_standstill()  # what makes saga time stand is told with it
    away = [service for service, says in told.items() if is_failing(says.get(BROKER, OK))]
    if away and BROKER not in stands_for:
        yield Condition(
            kind=ConditionKind.SERVICE,
            cause=BROKER,
            sentence=f"The broker does not answer {', '.join(away)}: {told[away[0]][BROKER]}.",
            link=admin_url("order"),
            patience=PATIENCE * settings.TIMES.scale,
        )
    for service, says in told.items():
        for check, text in says.items():
            stands = (check in (WORKERS, SILENT) and service in stands_for) or (
                service == ORCHESTRATOR and text.startswith(NO_RELAY)
            )
            if check not in (*NOT_TOLD, BROKER) and is_failing(text) and not stands:
                yield make_condition(service, check, text)


def make_condition(service: str, check: str, text: str) -> Condition:
    kind, severity = KINDS.get(check, (ConditionKind.SERVICE, Severity.PAGE))
    # An answer that is no answer is a cause of its own, whatever the service would say.
    if check == SILENT:
        sentence = f"{service} {text} at {settings.SERVICE_URLS[service]}"
    else:
        sentence = WORDS.get(check, "{service} says of its {check}: {text}").format(
            service=service, check=check.replace("_", " "), text=text.removeprefix(WARNING)
        )
    return Condition(
        kind=kind,
        cause=service if check == RELAY else f"{service} {check}",
        sentence=end_sentence(capitalize(sentence)),
        link=admin_url(service),
        severity=severity,
        patience=PATIENCE * settings.TIMES.scale,
    )


def is_failing(text: str) -> bool:
    """Whether a check says that something is wrong; what it does not know for another's sake is told by the other."""
    return not text.startswith((OK, *UNKNOWN))


def read_answers() -> dict[str, dict[str, str]]:
    """Return what each check of each service says, as the relay heard it; without a relay it is asked for now."""
    seen = find_observation(SERVICES_SEEN)
    fresh = LOOKS_OLD * settings.TIMES.period(LOOK_SECONDS)
    if seen is not None and compute_age(seen) < fresh:
        answers: Mapping[str, Mapping[str, Any]] = seen.content
    else:
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            answers = dict(zip(SERVICES, pool.map(ask_service, SERVICES), strict=True))
    return {
        service: {name: str(text) for name, text in says.items() if name != "flows"}
        for service, says in answers.items()
        if service in SERVICES
    }
