"""Scenario: a saga's test as one sentence over the pure decisions and chains, without database, broker or worker.

    (
        given(PlaceOrder, data)
        .expect(AuthorizePayment, amount=1999).when(PaymentAuthorized(payment=p, amount=1999, currency="EUR"))
        .expect(ReserveStock).when_refused("out_of_stock")
        .expect_stop([fence(CapturePayment), CancelShipment, ReleaseStock, VoidPayment])
        .ends("compensated")
    )

The form is that of Eventuate Tram's saga tests: given this saga, expect this command, when this reply, expect
that compensation. Every `expect…` raises AssertionError with what was sent instead. A reply is also logged, as its
event would be, unless the test says `unheard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self
from uuid import uuid4

from celery_config.contracts.base import Command, Reply, decode, encode
from celery_config.saga.dsl import Saga, Step
from celery_config.saga.engine.chains import COMPENSATED, COMPLETE, ChainBuilder, Link
from celery_config.saga.engine.machine import (
    CancelRequested,
    Compensated,
    Completed,
    Drive,
    PivotRan,
    Retry,
    Send,
    StepFailed,
    StepLogged,
    Trigger,
    View,
    WatchdogFired,
    decide,
    first_status,
)
from celery_config.saga.states import StepState


def given(saga: type[Saga], data: Any) -> Scenario:
    """A saga that has just started with `data`."""
    return Scenario(saga, data)


def fence(pivot: type[Command]) -> str:
    """The name of `pivot`'s fence for `expect_stop`."""
    return f"fence {pivot.wire_name()}"


def list_links(chain: Link) -> list[Link]:
    """The links of a chain in the order in which they run."""
    return [chain, *reversed(chain["options"]["chain"])]


def name_link(link: Link) -> str:
    return f"fence {link['kwargs']['pivot']}" if "pivot" in link["kwargs"] else str(link["task"])


class Scenario:
    """A saga under way; every method returns it, so that a test reads as one sentence."""

    def __init__(self, saga: type[Saga], data: Any) -> None:
        self.saga, self.data, self.id = saga, encode(data), uuid4()
        self.status = first_status(saga)
        self.log: dict[str, StepState] = {}
        self.replies: dict[str, Any] = {}
        self.attempt = 0
        self.links: list[Link] = []
        self._send(Drive(saga.steps[0].name))

    def expect(self, command: type[Command], **fields: Any) -> Self:
        """The next link is `command`, with these `fields` among others."""
        self._check(bool(self.links) and name_link(self.links[0]) == command.wire_name(), command.wire_name())
        kwargs = self.links[0]["kwargs"]
        needed = {name: self.replies[step][name] for name, step in kwargs.get("needs", {}).items()}
        sent = encode(decode(command, kwargs["command"] | needed))
        for name, value in fields.items():
            wanted = encode(value)
            assert sent[name] == wanted, f"{command.__name__}.{name} is {sent[name]!r}, not {wanted!r}"
        return self

    def expect_stop(self, wanted: Sequence[type[Command] | str]) -> Self:
        """A stop chain was sent: exactly these, in this order, and then the saga's own last link."""
        names = [w if isinstance(w, str) else w.wire_name() for w in wanted]
        sent = [name_link(link) for link in self.links]
        self._check(sent == [*names, COMPENSATED], f"{names} and {COMPENSATED}")
        return self

    def expect_nothing(self) -> Self:
        """No link is under way."""
        self._check(not self.links, "nothing")
        return self

    def when(self, reply: Reply, *, unheard: bool = False) -> Self:
        """The expected command is done with this reply; `unheard`: its event was lost."""
        step = self._next_step()
        done = step.command.done
        assert isinstance(reply, done), f"{step.command.__name__} is answered by {done.__name__}"
        self.links.pop(0)
        self.replies[step.name] = encode(reply)
        return self if unheard else self._log(step, StepState.DONE)

    def when_refused(self, *, unheard: bool = False) -> Self:
        """The expected command is refused: the chain ends there and its errback comes."""
        step = self._next_step()
        assert step.command.refused, f"{step.command.__name__} may not be refused"
        if not unheard:
            self._log(step, StepState.REFUSED)
        return self.when_failed()

    def when_failed(self) -> Self:
        """The next link uses up its tries: the chain ends there and its errback comes."""
        kwargs = self.links[0]["options"]["link_error"][0]["kwargs"]
        self.links = []
        return self._receive(StepFailed(kwargs["step"], kwargs["operation"]))

    def when_undone(self) -> Self:
        """The next link, a fence or an undo, is done."""
        kwargs = self.links.pop(0)["kwargs"]
        if kwargs.get("operation") == "undo":
            self.log[kwargs["step"]] = StepState.UNDONE
        return self

    def when_pivot_ran(self) -> Self:
        """The next link, the fence, finds that the pivot ran: the stop chain ends there."""
        self._check(bool(self.links) and name_link(self.links[0]).startswith("fence "), "a fence")
        self.log[self.links[0]["kwargs"]["step"]] = StepState.DONE
        self.links = []
        return self._receive(PivotRan())

    def when_lost(self) -> Self:
        """The broker lost what was under way."""
        self.links = []
        return self

    def when_cancelled(self) -> Self:
        return self._receive(CancelRequested())

    def when_silent(self, *, past_deadline: bool = False, past_patience: bool = False) -> Self:
        """The watchdog finds the saga due."""
        return self._receive(WatchdogFired(), past_deadline=past_deadline, past_patience=past_patience)

    def when_retried(self) -> Self:
        """An operator retries the parked saga."""
        return self._receive(Retry())

    def is_now(self, status: str) -> Self:
        assert self.status == status, f"the saga is {self.status}, not {status}"
        return self

    def ends(self, status: str) -> Self:
        """The rest of the stop chain succeeds, or only `complete` is left; the saga then has this status."""
        while len(self.links) > 1 and self.links[0]["kwargs"].get("operation") != "do":
            self.when_undone()
        self._check(len(self.links) <= 1, "the end of the chain")
        if self.links:
            last = self.links.pop()
            ends: dict[str, Trigger] = {
                COMPLETE: Completed(),
                COMPENSATED: Compensated(last["kwargs"].get("incomplete", False)),
            }
            self._check(last["task"] in ends, "the end of the chain")
            self._receive(ends[last["task"]])
        return self.is_now(status)

    def _next_step(self) -> Step:
        self._check(bool(self.links) and self.links[0]["kwargs"].get("operation") == "do", "a command")
        return self.saga.steps[self.saga.index(self.links[0]["kwargs"]["step"])]

    def _log(self, step: Step, outcome: StepState) -> Self:
        self.log[step.name] = outcome
        return self._receive(StepLogged(step.name, outcome))

    def _receive(self, trigger: Trigger, **view: bool) -> Self:
        decision = decide(self.saga, View(self.status, self.log, **view), trigger)
        self.status = decision.status or self.status
        if decision.send:
            self._send(decision.send)
        return self

    def _send(self, send: Send) -> None:
        builder = ChainBuilder(self.saga, self.id, self.data, self.attempt)
        self.attempt += 1
        self.links = list_links(builder.build(send, self.replies if isinstance(send, Drive) else {}))

    def _check(self, holds: bool, wanted: str) -> None:
        sent = [name_link(link) for link in self.links] or "nothing"
        assert holds, f"expected {wanted}; the {self.status} saga has sent {sent}"
