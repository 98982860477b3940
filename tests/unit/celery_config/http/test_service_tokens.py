"""Each caller has a token of its own: the called knows the caller, and another's token is none."""

from __future__ import annotations

from itertools import combinations

import pytest

from celery_config.common.service_calls import CALLS, SHARED, find_scope, list_pairs, name_token
from celery_config.errors import CallFailed
from celery_config.http.service_tokens import ServiceTokens, TokenMode

TOKENS = {
    ("payment", "order"): (b"new", b"old"),
    ("shipment", "order"): (b"other",),
    ("order", "payment"): (b"ours",),
}
HELD = {"order": b"shared", "payment": b"shared-too"}


def make(mode: TokenMode = TokenMode.REQUIRE) -> ServiceTokens:
    return ServiceTokens("order", TOKENS, HELD, mode)


@pytest.mark.parametrize(
    ("token", "caller"),
    [
        (b"new", "payment"),
        (b"old", "payment"),
        (b"other", "shipment"),
        (b"ours", None),
        (b"shared", None),
        (b"", None),
    ],
)
def test_a_token_names_its_caller(token: bytes, caller: str | None) -> None:
    assert make().find_caller(token) == caller


def test_the_shared_token_counts_only_on_the_way_of_an_upgrade() -> None:
    """First all accept both, then all send their own, then nothing else is accepted."""
    sent = {mode: make(mode).find_token("payment", "order") for mode in TokenMode}
    taken = {mode: make(mode).find_caller(b"shared") for mode in TokenMode}
    assert sent == {"shared": "shared-too", "accept": "ours", "require": "ours"}
    assert taken == {"shared": SHARED, "accept": SHARED, "require": None}
    assert find_scope("order", SHARED) == frozenset().union(*CALLS["order"].values())


def test_the_first_of_several_is_sent() -> None:
    assert make().find_token("order", "payment") == "new"


def test_a_token_that_is_missing_is_named() -> None:
    with pytest.raises(CallFailed, match="set ORDER_TO_SHIPMENT_TOKEN in the environment"):
        make().find_token("shipment", "order")


def test_no_participant_holds_what_another_calls_with() -> None:
    """What one of them knows opens nothing of the order service in another's name."""
    participants = set(CALLS) - {"order"}
    for one, other in combinations(sorted(participants), 2):
        theirs = {pair for pair in list_pairs(other) if pair[0] == other}
        assert not {name_token(pair) for pair in list_pairs(one)} & {
            name_token(pair) for pair in theirs - {(other, one)}
        }


def test_only_the_orchestrator_sends_commands_and_settles() -> None:
    able = {
        (caller, call)
        for callers in CALLS.values()
        for caller, calls in callers.items()
        for call in calls
        if call in ("POST commands", "POST barrier-settle")
    }
    assert {caller for caller, _ in able} == {"order"}
