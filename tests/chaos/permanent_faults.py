"""Permanent faults last for the whole run: two of three hosts of the broker are dead, and what `--worse` names."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from celery_config.common.services import SERVICES
from celery_config.messaging.failpoint_patches import LOSES
from compose.local.stack import Stack

WORSE = {
    "errbacks": "no `link_error` is ever sent",
    "continuations": "no link of a chain sends the next one",
    "broker": "the broker loses its data in the middle of the load",
    "clock": "one service's clock is an hour wrong",
}
SKEWED, SECONDS_OFF = "payment", 3600


def choose_settings(worse: str | None) -> dict[str, str]:
    return {LOSES: worse} if worse in ("errbacks", "continuations") else {}


def choose_clock_settings(worse: str | None) -> dict[str, dict[str, str]]:
    """Return the settings that change one service's clock, but not the monotonic clock that measures its time-outs."""
    if worse != "clock":
        return {}
    return {SKEWED: {"PYTHONPATH": str(Path(__file__).parent / "skewed"), "CLOCK_OFF_BY": str(SECONDS_OFF)}}


def draw_broker_hosts(stack: Stack, dead: Sequence[str], chance: random.Random) -> dict[str, list[str]]:
    """Return the addresses of the broker's hosts by service: the real one among the dead ones, at a place drawn."""
    assert stack.rabbitmq is not None
    hosts = {service: [*dead, stack.rabbitmq.url(service)] for service in SERVICES}
    for addresses in hosts.values():
        chance.shuffle(addresses)
    return hosts


def name_broker_hosts(hosts: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """Return the settings by service."""
    return {s: {f"{s.upper()}_BROKER_URL": ";".join(addresses)} for s, addresses in hosts.items()}


def describe_hosts(hosts: Mapping[str, Sequence[str]]) -> str:
    alive = (f"{s} {1 + next(n for n, a in enumerate(each) if f'//{s}:' in a)}" for s, each in hosts.items())
    return f"hosts of the broker that are alive, of three: {', '.join(alive)}"


def merge_settings(*each: Mapping[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return the settings of all, by service."""
    return {
        service: {k: v for some in each for k, v in some.get(service, {}).items()} for service in SERVICES
    }
