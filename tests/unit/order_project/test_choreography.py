"""Choreographed orders: where they stand follows from what was seen, and every way through ends well."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, permutations
from uuid import UUID

import pytest

from celery_config.contracts.base import Event
from celery_config.contracts.payment import AuthorizePayment, CapturePayment, PaymentCaptured, VoidPayment
from celery_config.contracts.subscriptions import react
from celery_config.errors import DefinitionError
from celery_config.saga.states import ENDED, Status
from order_project.choreography.derivation import (
    ALL_DONE,
    ALL_UNDONE,
    COLLECTED,
    DEADLINE_PASSED,
    REFUSALS,
    RELEASED,
    RETAINED,
    WITHDRAWN,
    derive_status,
    find_cause,
)
from tests.unit.order_project.choreography_simulation import REACTIONS, Stage

AUTHORIZE, CAPTURE = AuthorizePayment.wire_name(), CapturePayment.wire_name()
REFUSABLE = sorted({each.action.wire_name() for each in REACTIONS if each.refused})
ENDS = [
    (ALL_DONE, Status.COMPLETED),
    ((*ALL_DONE, WITHDRAWN, RETAINED), Status.COMPLETED),
    ((WITHDRAWN, *ALL_UNDONE), Status.COMPENSATED),
    *(((refusal, *ALL_UNDONE), Status.COMPENSATED) for refusal in REFUSALS),
    ((WITHDRAWN, *ALL_DONE[:3], *ALL_UNDONE), Status.COMPENSATED),
]


class TestStanding:
    @pytest.mark.parametrize(("said", "end"), ENDS)
    def test_every_order_of_arrival_and_every_repeat_ends_the_same(
        self, said: tuple[str, ...], end: Status
    ) -> None:
        """No prefix of any order has come to another end, and what comes again changes nothing."""
        for arrived in sampled(said):
            ends = {derive_status(arrived[:count]) for count in range(len(arrived) + 1)} & {
                *ENDED,
                Status.PARKED,
            }
            assert ends == {end}, arrived
            assert derive_status([*arrived, *reversed(arrived)]) is end

    def test_nothing_is_undone_before_payment_says_so(self) -> None:
        assert derive_status({WITHDRAWN, *ALL_UNDONE[1:]}) is Status.STOPPING

    def test_money_that_was_taken_and_given_back_is_for_a_human(self) -> None:
        assert derive_status({COLLECTED, RELEASED}) is Status.PARKED

    def test_a_wish_explains_more_than_a_refusal_and_a_refusal_more_than_the_deadline(self) -> None:
        def why(**codes: str) -> str:
            kinds = {"withdrawn": WITHDRAWN, "failed": REFUSALS[0], "refused": REFUSALS[1]}
            return find_cause({kinds[name]: {"code": code, "reason": ""} for name, code in codes.items()})[
                "code"
            ]

        assert why(refused="out_of_stock", withdrawn="cancelled") == "cancelled"
        assert why(refused="out_of_stock", withdrawn=DEADLINE_PASSED) == "out_of_stock"
        assert why(withdrawn=DEADLINE_PASSED) == DEADLINE_PASSED


def sampled(said: tuple[str, ...], most: int = 2000) -> Iterable[tuple[str, ...]]:
    """All orders of few, some of many."""
    if len(said) <= 6:
        yield from permutations(said)
        return
    chance = random.Random(1)
    for _ in range(most):
        yield tuple(chance.sample(said, len(said)))


class TestEveryWayThrough:
    """Rule 22, with late, repeated and lost messages, and cancels at any moment."""

    @pytest.mark.parametrize("seed", range(20))
    def test_it_ends_whole(self, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            refusing = frozenset(name for name in REFUSABLE if chance.random() < 0.15)
            stage = Stage(chance, refusing)
            stage.play(withdrawn_at=[chance.randrange(60)] if chance.random() < 0.5 else ())
            done = {each.action.wire_name() for each in REACTIONS if each.operation == "do"}
            expected = done if stage.standing is Status.COMPLETED else set()
            assert {name for name, count in stage.effects.items() if count} == expected
            assert all(count <= 1 for count in stage.effects.values())
            assert not (refusing and stage.standing is Status.COMPLETED)

    def test_what_comes_after_its_end_changes_nothing(self) -> None:
        """All that was ever said of it is heard again, with and without a drive."""
        for refused in (*combinations(REFUSABLE, 1), ()):
            stage = Stage(random.Random(3), frozenset(refused))
            stage.play()
            before = stage.standing, dict(stage.effects), dict(stage.rows)
            for drive in (0, 99):
                for line in [each for each in REACTIONS if stage.said.intersection(each.patterns)]:
                    (stage.act if line.operation == "do" else stage.undo)(line, drive)
            assert (stage.standing, stage.effects, stage.rows) == before


@dataclass(frozen=True, kw_only=True)
class Asked(Event):
    service = "elsewhere"
    order: UUID


@dataclass(frozen=True, kw_only=True)
class Answered(Event):
    service = "payment"
    order: UUID


class TestALine:
    """What is written wrongly is found when it is read."""

    def test_every_field_comes_from_somewhere(self) -> None:
        with pytest.raises(DefinitionError, match=r"AuthorizePayment\.customer is not in Asked"):
            react(Asked, do=AuthorizePayment, announce=Answered, refused=Answered)

    def test_what_may_be_refused_is_announced_so(self) -> None:
        with pytest.raises(DefinitionError, match="may be refused"):
            react(PaymentCaptured, do=CapturePayment, announce=Answered)

    def test_the_pivot_and_its_word_belong_together(self) -> None:
        with pytest.raises(DefinitionError, match="belong together"):
            react(Asked, undo=AuthorizePayment, by=VoidPayment, announce=Answered, unless=CapturePayment)

    def test_nobody_announces_for_another(self) -> None:
        with pytest.raises(DefinitionError, match="must belong to one service"):
            react(Asked, undo=AuthorizePayment, by=VoidPayment, announce=Asked)

    def test_one_thing_is_done(self) -> None:
        with pytest.raises(DefinitionError, match="takes `do`, or"):
            react(Asked, announce=Answered)
