"""Which service may call which, and for what. Each pair has a token of its own; a call that is not listed is refused.

A call is a method and the name of an address in `urls`. What follows from roles and copies is here, and what is a
service's own is in its `service.toml`. `docs/reference/permissions.md` shows the whole table.
"""

from __future__ import annotations

from collections.abc import Mapping

from celery_config.common.services import ORCHESTRATOR, SERVICES

OPERATOR = "operator"
"""The caller of the audit, the importer and the tests: it reads, and writes products, stock, customers and orders."""

COMPARE = ("GET published", "POST published-pieces", "POST published-rows", "GET published-changes")
_KEEP_BARRIER = ("POST sagas-ended", "GET sagas-known", "GET forgotten")
_BE_TOLD = ("GET holds-known",)
_DRIVE = (
    "POST commands", "GET trouble", "GET barrier", "POST barrier-settle", "GET forgotten", "GET events",
    "POST events-again", "GET outbox-set-aside", "POST outbox-set-aside",
)  # fmt: skip
_LOOK = ("GET barrier", "GET events", "GET outbox", "GET copies", *COMPARE)
_AUDIT = (*_LOOK, "GET copy-differences", "GET forgotten")


def find_calls(callee: str, caller: str) -> frozenset[str]:
    """Return the calls that follow from two services' roles and copies, and those that the callee declares."""
    service = SERVICES[callee]
    calls = {*service.serves.get(caller, ())}
    if caller == OPERATOR:
        calls |= {*(_LOOK if callee == ORCHESTRATOR else _AUDIT)}
    elif callee == ORCHESTRATOR:
        calls |= {*(("POST sagas-ended",) if caller == callee else (*_KEEP_BARRIER, *_BE_TOLD))}
    elif caller == ORCHESTRATOR:
        calls |= {*_DRIVE}
    if caller in SERVICES:
        if callee in SERVICES[caller].keeps_copies_of:
            calls |= {*COMPARE}
        if caller in service.keeps_copies_of and SERVICES[caller].recovers_from_copies:
            calls.add("GET copy-rows")
    return frozenset(calls)


CALLS: Mapping[str, Mapping[str, frozenset[str]]] = {
    callee: {caller: calls for caller in (*SERVICES, OPERATOR) if (calls := find_calls(callee, caller))}
    for callee in SERVICES
}
"""By the service that is called, by its caller."""

Pair = tuple[str, str]
"""A caller and the service that it calls."""


SHARED = "shared"
"""The caller with a token that every service once had for this one; it may make the calls of them all."""


def find_scope(callee: str, caller: str) -> frozenset[str]:
    """The calls that `caller` may make."""
    callers = CALLS[callee]
    return frozenset().union(*callers.values()) if caller == SHARED else callers.get(caller, frozenset())


def name_caller(caller: str) -> str:
    """The name of a caller in trails. No account has it: a name of an account has no colon."""
    return f"service:{caller}"


def list_pairs(service: str) -> list[Pair]:
    """The pairs whose tokens the processes of a service need: as the called, and as the caller."""
    every = [(caller, callee) for callee, callers in CALLS.items() for caller in callers]
    return [pair for pair in every if service in pair]


def list_operator_pairs() -> list[Pair]:
    """The pairs whose tokens the commands of the operator need, which run beside the order service's web."""
    return [(OPERATOR, callee) for callee in CALLS]


def name_token(pair: Pair) -> str:
    """The environment variable of a pair's token."""
    caller, callee = pair
    return f"{caller.upper()}_TO_{callee.upper()}_TOKEN"


def name_shared_token(callee: str) -> str:
    """The environment variable of the token that all callers of a service had in older versions."""
    return f"{callee.upper()}_SERVICE_TOKEN"


def list_token_variables(service: str) -> set[str]:
    """The variables of all tokens that the processes of a service know, those of older versions included."""
    pairs = list_pairs(service)
    return {*map(name_token, pairs), *(name_shared_token(callee) for _, callee in pairs)}
