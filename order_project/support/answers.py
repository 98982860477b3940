"""Answers to what customers ask about an order, from what the order service knows itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from celery_config.common.money import money
from celery_config.contracts.base import Command
from celery_config.contracts.payment import AuthorizePayment, CapturePayment
from celery_config.contracts.shipment import BookShipment, DispatchShipment
from celery_config.saga.causes import phrase_command
from celery_config.saga.flow_facts import FlowFacts, StepFacts, find_next, is_past_pivot
from celery_config.saga.operations.wording import end_sentence
from celery_config.saga.states import Status, StepState
from order_project.domain import RefundStatus


@dataclass(frozen=True)
class OrderFacts:
    """What is asked about; amounts in minor units of the currency."""

    total: int
    currency: str
    refunds: Sequence[tuple[RefundStatus, int]] = ()
    tracking_number: str = ""
    destination: str = ""
    """City and country."""
    reason: str = ""
    """Why it was cancelled."""

    def show(self, amount: int) -> str:
        return money(amount, self.currency)

    def sum_refunds(self, *statuses: RefundStatus) -> int:
        return sum(amount for status, amount in self.refunds if status in statuses)

    @property
    def refundable(self) -> int:
        """What may still be given back of an order that was paid."""
        return self.total - self.sum_refunds(RefundStatus.ASKED, RefundStatus.PAID)


def answer_charge(order: OrderFacts, flow: FlowFacts) -> str:
    """Was I charged?"""
    taken, held = find_step(flow, CapturePayment), find_step(flow, AuthorizePayment)
    if taken and taken.logged is StepState.DONE:
        return f"Yes, {order.show(order.total)} was taken.{tell_refunds(order)}"
    if flow.status is Status.COMPENSATED:
        if held and (held.ran or held.logged is StepState.DONE):
            return f"No. {order.show(order.total)} was reserved on the card, and was released."
        may_have_been_held = held and held.logged is StepState.UNDONE and not held.is_refused
        return "No. What may have been reserved on the card was released." if may_have_been_held else "No."
    if is_asked_for(flow, taken) and (flow.status is Status.PARKED or (taken and taken.failure)):
        return (
            f"It is not certain: the payment service was asked to take {order.show(order.total)}, and it is not known"
            " what became of it. It will be found out before anything else is done."
        )
    if held and held.logged is StepState.DONE:
        more = "and will be released" if flow.status is Status.STOPPING else "and not taken"
        return f"No. {order.show(order.total)} is reserved on the card, {more}."
    if held and held.failure:
        return "It is not certain whether the money is reserved on the card; it was not taken."
    return "No, not yet." if flow.status in (Status.RUNNING, Status.FORWARD) else "No."


def tell_refunds(order: OrderFacts) -> str:
    paid, asked = order.sum_refunds(RefundStatus.PAID), order.sum_refunds(RefundStatus.ASKED)
    told = f" {order.show(paid)} was given back." if paid else ""
    return told + (f" {order.show(asked)} is being given back." if asked else "")


def answer_parcel(order: OrderFacts, flow: FlowFacts) -> str:
    """Where is my parcel?"""
    booked, sent = find_step(flow, BookShipment), find_step(flow, DispatchShipment)
    number = f" The tracking number is {order.tracking_number}." if order.tracking_number else ""
    to = f" to {order.destination}" if order.destination else ""
    if sent and sent.logged is StepState.DONE:
        return f"With the carrier, on its way{to}.{number}"
    if flow.status is Status.COMPENSATED:
        why = f": {end_sentence(order.reason)}" if order.reason else "."
        return f"There is none. The order was cancelled{why}"
    if flow.status is Status.STOPPING:
        return "There will be none: the order is being cancelled."
    if booked and booked.logged is StepState.DONE:
        return f"The carrier is booked{to}, and does not have the parcel yet.{number}"
    if booked and booked.is_refused:
        return f"The carrier does not take it{to}."
    return "It is not sent yet: the carrier is not booked."


def find_step(flow: FlowFacts, command: type[Command]) -> StepFacts | None:
    phrase = phrase_command(command)
    return next((step for step in flow.steps if step.phrase == phrase), None)


def is_asked_for(flow: FlowFacts, step: StepFacts | None) -> bool:
    """Whether the flow waits for the word of this step."""
    return step is not None and find_next(flow)[0] == step


def list_undoings(flow: FlowFacts) -> list[str]:
    """What a cancellation would undo."""
    return [
        f"{step.undo_phrase}{f' ({step.amount})' if step.amount else ''}"
        for step in reversed(flow.steps)
        if step.undo_phrase and step.logged is StepState.DONE
    ]


def refuse_cancellation(flow: FlowFacts) -> str:
    """Why the order cannot be cancelled; empty: it can."""
    if flow.status is Status.RUNNING and not is_past_pivot(flow.steps):
        return ""
    return {
        Status.STOPPING: "it is being cancelled already",
        Status.COMPENSATED: "it is cancelled already",
        Status.COMPLETED: "it is done; give the money back instead",
        Status.PARKED: "it waits for an operator's decision; decide about it on its own page",
    }.get(flow.status, "the money was taken, and it is being finished; give the money back when it is done")
