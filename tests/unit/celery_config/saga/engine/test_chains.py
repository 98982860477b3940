"""The messages of a saga: one Celery chain in one outbox row."""

from __future__ import annotations

import json
from ast import literal_eval
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from celery_config.broker.message_authentication import MessageKeys, Mode
from celery_config.broker.topology import commands_queue, urgent_queue
from celery_config.common.services import PARTICIPANTS
from celery_config.contracts.base import Command, Reply, command_id, encode
from celery_config.errors import ChainTooLarge
from celery_config.saga.dsl import Saga, compensatable, minutes
from celery_config.saga.engine.chains import (
    COMPENSATED,
    COMPLETE,
    LARGEST_CHAIN,
    STEP_FAILED,
    ChainBuilder,
    find_queue,
    plan_chain,
)
from celery_config.saga.engine.machine import Drive, Send, Stop, UndoBefore
from celery_config.saga.states import StepState
from celery_config.saga.testing import fence, list_links, name_link
from tests.trip import (
    BookFlight,
    BookHotel,
    CancelFlight,
    CancelHotel,
    ChargeTrip,
    Holiday,
    IssueTicket,
    Trip,
    trip_data,
)

SAGA = UUID("6f1c7a0e-1111-4222-8333-444455556666")
DATA = encode(trip_data())


def chains(saga: type[Saga] = Trip, attempt: int = 0) -> ChainBuilder:
    return ChainBuilder(saga, SAGA, DATA, attempt)


def names(chain: dict[str, Any]) -> list[str]:
    return [name_link(link) for link in list_links(chain)]


def all_links(attempt: int = 0) -> list[dict[str, Any]]:
    made = chains(attempt=attempt)
    return [*list_links(made.build(Drive("hotel"))), *list_links(made.build(Stop()))]


def new_work(chain: dict[str, Any]) -> list[str]:
    return [name_link(link) for link in list_links(chain) if link["options"]["exchange"] == "tasks"]


ACTIONS = [BookHotel.wire_name(), BookFlight.wire_name(), ChargeTrip.wire_name(), IssueTicket.wire_name()]
UNDOS = [CancelFlight.wire_name(), CancelHotel.wire_name()]


class TestTurns:
    """Each link waits for the last step before it of each other service (rule 29, authenticity)."""

    KEYS = MessageKeys({name: (name.encode(),) for name in ("order", *PARTICIPANTS)}, Mode.REQUIRE)

    def waits(self, send: Send, keys: MessageKeys = KEYS) -> list[list[str]]:
        chain = ChainBuilder(Trip, SAGA, DATA, 0, keys=keys).build(send)
        return [sorted(link["kwargs"].get("after", {})) for link in list_links(chain)]

    @pytest.mark.parametrize(
        ("send", "waits"),
        [
            (Drive("hotel"), [[], ["hotel"], ["flight", "hotel"], ["charge", "hotel"], []]),
            (Drive("charge"), [[], ["charge"], []]),
            (Stop(), [[], ["charge"], ["charge", "flight"], []]),
        ],
        ids=["forward", "again from the pivot", "stop"],
    )
    def test_of_every_chain(self, send: Send, waits: list[list[str]]) -> None:
        assert self.waits(send) == waits

    def test_codes_that_are_off_need_none(self) -> None:
        assert not any(self.waits(Drive("hotel"), MessageKeys(self.KEYS.keys)))


class TestWhatIsKnown:
    """That a step is known to be done stands in its link, beside the command (rule 7, the undo)."""

    @pytest.mark.parametrize("saga", [Trip])
    def test_each_link_says_it_of_its_own_step(self, saga: type[Saga]) -> None:
        log = {"hotel": StepState.DONE, "flight": StepState.UNDONE, "charge": StepState.NOTHING}
        builder = ChainBuilder(saga, SAGA, DATA, 3, log)
        for chain in (builder.build(Drive("hotel")), builder.build(Stop())):
            known = {link["kwargs"]["step"]: link["kwargs"].get("known") for link in list_links(chain)}
            assert known.pop("hotel") == "done"
            assert set(known.values()) == {None}
        (undo,) = [link for link in list_links(builder.build(Stop())) if name_link(link) == UNDOS[1]]
        assert "known" not in undo["kwargs"]["command"]

    def test_a_start_says_nothing(self) -> None:
        assert all("known" not in link["kwargs"] for link in all_links())


class TestWhatIsSent:
    def test_a_start_is_every_step_and_the_end(self) -> None:
        """Rule 1: the whole chain is one message, JSON through and through."""
        chain = chains().build(Drive("hotel"))
        assert names(chain) == [*ACTIONS, COMPLETE]
        assert json.loads(json.dumps(chain)) == chain

    @pytest.mark.parametrize(("step", "left"), [("flight", ACTIONS[1:]), ("ticket", ACTIONS[3:]), (None, [])])
    def test_a_drive_starts_at_a_step_with_the_replies_known(self, step: str | None, left: list[str]) -> None:
        """Rule 17."""
        chain = chains().build(Drive(step), {"hotel": {"booking": "b"}})
        assert names(chain) == [*left, COMPLETE]
        assert chain["args"] == [{"hotel": {"booking": "b"}}]

    def test_a_stop_is_the_fence_first_and_every_undo_last_to_first(self) -> None:
        """Rule 12."""
        assert names(chains().build(Stop())) == [fence(ChargeTrip), *UNDOS, COMPENSATED]
        assert list_links(chains().build(Stop()))[-1]["kwargs"]["incomplete"] is False

    def test_a_stop_without_a_pivot_has_no_fence(self) -> None:
        """Rule 11: the lock on the saga's row decided."""
        assert names(chains(Holiday).build(Stop())) == [*UNDOS, COMPENSATED]

    @pytest.mark.parametrize(("failed", "rest"), [("flight", UNDOS[1:]), ("hotel", [])])
    def test_after_a_failed_undo_the_rest_goes_on_incomplete(self, failed: str, rest: list[str]) -> None:
        """Rule 15."""
        chain = chains().build(UndoBefore(failed))
        assert names(chain) == [*rest, COMPENSATED]
        assert list_links(chain)[-1]["kwargs"]["incomplete"] is True


class TestEveryLink:
    def test_its_task_id_is_set_and_tells_attempts_apart(self) -> None:
        """Rule 2: the command id never changes, the task id does; neither is left to Celery."""
        first, again, second = (
            [link["options"]["task_id"] for link in all_links(attempt)] for attempt in (0, 0, 1)
        )
        assert first == again
        assert not set(first) & set(second)
        assert len(set(first)) == len(first)
        assert str(command_id(SAGA, "hotel", "do")) not in first

    def test_its_errback_is_the_orchestrators_own(self) -> None:
        """Rule 3: immutable, explicitly routed, with saga, step and operation in its kwargs."""
        for link in all_links(attempt=3):
            (errback,) = link["options"]["link_error"]
            assert errback["task"] == STEP_FAILED
            assert errback["immutable"] is True
            assert errback["args"] == []
            options = errback["options"]
            assert (options["exchange"], options["routing_key"], options["mandatory"]) == (
                "urgent-tasks",
                "order.step_failed",
                True,
            )
            assert errback["kwargs"]["saga"] == str(SAGA)
            assert errback["kwargs"]["attempt"] == 3
            assert errback["kwargs"]["step"] == link["kwargs"]["step"]
        errback_ids = [link["options"]["link_error"][0]["options"]["task_id"] for link in all_links()]
        assert len(set(errback_ids)) == len(errback_ids)

    def test_the_errback_tells_action_undo_fence_and_end_apart(self) -> None:
        """Rule 3: it carries the operation, so that an action's failure is never taken for an undo's."""
        told = {
            (e["step"], e["operation"])
            for link in all_links()
            for e in [link["options"]["link_error"][0]["kwargs"]]
        }
        actions = {(step.name, "do") for step in Trip.steps}
        undos = {("hotel", "undo"), ("flight", "undo")}
        assert told == actions | undos | {("charge", "fence"), ("", "complete"), ("", "compensated")}

    def test_it_is_routed_to_its_service_and_must_arrive(self) -> None:
        """Rule 21: commands are `mandatory`."""
        for link in all_links():
            options = link["options"]
            assert (options["routing_key"], options["mandatory"]) == (link["task"], True)

    def test_only_an_action_that_can_still_be_undone_is_new_work(self) -> None:
        """Rule 28: the pivot and all behind it, fence, undos and ends overtake it."""
        assert new_work(chains().build(Drive("hotel"))) == ACTIONS[:2]
        assert new_work(chains().build(Stop())) == []
        assert new_work(chains().build(UndoBefore("flight"))) == []

    def test_nothing_is_new_work_once_the_pivot_is_done(self) -> None:
        """Rule 28: not even the repeat of a step before it, whose event was lost."""
        known = {step: {} for step in ("flight", "charge")}
        assert new_work(chains(attempt=1).build(Drive("hotel"), known)) == []
        assert new_work(chains(attempt=1).build(Drive("hotel"), {"flight": {}})) == ACTIONS[:2]

    @pytest.mark.parametrize("send", [Drive("hotel"), Drive("charge"), Drive(None), Stop(), Stop(2)], ids=str)
    def test_the_queue_that_a_row_waits_for_is_the_one_its_link_is_routed_to(self, send: Send) -> None:
        """Rule 17: the watchdog looks there."""
        options = chains().build(send)["options"]
        queue = find_queue(Trip, plan_chain(Trip, send, {})[0])
        service = options["routing_key"].partition(".")[0]
        assert queue == {"tasks": commands_queue, "urgent-tasks": urgent_queue}[options["exchange"]](service)

    def test_what_it_needs_from_earlier_replies_is_named(self) -> None:
        links = list_links(chains().build(Drive("hotel")))
        assert [link["kwargs"].get("needs") for link in links] == [
            None,
            None,
            {"booking": "hotel"},
            {"seat": "flight"},
            None,
        ]
        assert links[0]["kwargs"]["command"] == {"trip": DATA["trip"], "nights": DATA["nights"]}

    def test_an_undo_carries_ids_only(self) -> None:
        """Rule 7."""
        for link in list_links(chains().build(Stop()))[1:-1]:
            assert link["kwargs"]["command"] == {"trip": DATA["trip"]}


@dataclass(frozen=True, kw_only=True)
class Taken(Reply):
    service: ClassVar[str] = "inventory"


@dataclass(frozen=True, kw_only=True)
class Take(Command):
    service: ClassVar[str] = "inventory"
    done: ClassVar[type[Reply]] = Taken
    id: str
    what: str


@dataclass(frozen=True)
class Load:
    id: str
    what: str


class Big(Saga):
    name, version, deadline, data = "big", 1, minutes(15), Load
    steps = [compensatable("take", Take, undo=Take)]


def test_a_chain_over_128_kb_is_refused() -> None:
    """Rule 4."""
    empty = len(json.dumps(ChainBuilder(Big, uuid4(), {"id": "1", "what": ""}, 0).build(Drive("take"))))
    fits = {"id": "1", "what": "x" * (LARGEST_CHAIN - empty)}
    ChainBuilder(Big, uuid4(), fits, 0).build(Drive("take"))
    odd = {"id": "1", "what": "Ü" * (len(fits["what"]) // 6)}
    ChainBuilder(Big, uuid4(), odd, 0).build(Drive("take"))
    with pytest.raises(ChainTooLarge):
        ChainBuilder(Big, uuid4(), {"id": "1", "what": odd["what"] + "Ü"}, 0).build(Drive("take"))
    with pytest.raises(ChainTooLarge, match="over the 131072 a chain may have"):
        ChainBuilder(Big, uuid4(), {"id": "1", "what": fits["what"] + "x"}, 0).build(Drive("take"))


def test_what_was_accepted_can_be_driven_again() -> None:
    """A later attempt has longer numbers, and brings the replies of what is done."""
    empty = len(json.dumps(ChainBuilder(Big, uuid4(), {"id": "1", "what": ""}, 0).build(Drive("take"))))
    fits = {"id": "1", "what": "x" * (LARGEST_CHAIN - empty)}
    ChainBuilder(Big, uuid4(), fits, 10_000).build(Drive("take"), {"before": {"id": "y" * 10_000}})
    with pytest.raises(ChainTooLarge):
        ChainBuilder(Big, uuid4(), fits, 1).build(Drive("take"), {"before": {"id": "y" * 20_000}})


def test_flower_is_shown_ids_only() -> None:
    """Addresses and payment tokens are in the arguments, and nobody's to see there."""
    for link in list_links(chains().build(Drive("hotel"))):
        for options in (link["options"], link["options"]["link_error"][0]["options"]):
            assert options["argsrepr"] == "()"
            assert set(literal_eval(options["kwargsrepr"])) <= {
                "saga",
                "step",
                "operation",
                "subject",
                "attempt",
            }
            assert str(SAGA) in options["kwargsrepr"]
