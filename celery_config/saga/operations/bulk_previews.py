"""What a verb would do to many flows, and to their money, as far as the order service's own log knows.

No participant is asked, and the number of statements does not grow with that of the flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery_config.common.grouping import group_by, join_some
from celery_config.common.money import money
from celery_config.errors import OperatorRefused
from celery_config.saga.branches import Branch
from celery_config.saga.course import Known
from celery_config.saga.engine.flows import WatchedFlow, find_flow
from celery_config.saga.engine.unit_of_work import UnitOfWork
from celery_config.saga.operations import held_money
from celery_config.saga.operations.acts import foretell
from celery_config.saga.operations.held_money import DOUBTFUL, HELD, TAKEN, Money
from celery_config.saga.operations.previews import decide_verb
from celery_config.saga.operations.wording import capitalize, end_sentence
from celery_config.saga.states import Status

CAUSES_SHOWN = 3
ENDS = {Status.COMPENSATED: "cancelled", Status.COMPLETED: "finished", Status.FORWARD: "finished"}


@dataclass(frozen=True)
class Prospect:
    """What a verb would do to one flow.

    Args:
        refused: why it would do nothing; empty: it would do something.
        ends: the ways in which it may go, each as its condition and its end.
        change: what it would change and send.
    """

    row: Any
    refused: str
    ends: tuple[tuple[str, str], ...]
    becomes: str
    """In a few words: "cancelled", or "cancelled or finished"."""
    money: Money | None
    change: str = ""


@dataclass(frozen=True)
class Outcome:
    """What would become of those flows of which the same would."""

    title: str
    """How many, what, and their money: "38 would be cancelled; £680.00 is held and would be let go"."""
    lines: list[str]
    """When it goes which way; or why they would be refused."""


def describe_lasting(rows: Iterable[Any]) -> str:
    """Say what of these flows waits again if its cause lasts; empty: nothing of them waits for a decision."""
    causes = sorted({row.fingerprint for row in rows if row.status == Status.PARKED and row.fingerprint})
    if not causes:
        return ""
    told = end_sentence(join_some(causes, CAUSES_SHOWN))
    return f"What meets the same fault again waits for a decision again: {told}"


def foresee(rows: Sequence[Any], verb: str) -> list[Prospect]:
    """Return what a verb would do to each of these flows of one kind."""
    if not rows:
        return []
    flow = find_flow(type(rows[0]))
    work, logs = UnitOfWork.begin(flow, rows), flow.read_logs(rows)
    sums = held_money.read_money(flow, [row.pk for row in rows])
    return [foresee_one(work, row, verb, logs.get(row.pk, {}), sums.get(row.pk)) for row in rows]


def foresee_one(
    work: UnitOfWork[Any, Any], row: Any, verb: str, log: Mapping[str, Known], held: Money | None
) -> Prospect:
    flow: WatchedFlow[Any, Any] = work.flow
    try:
        course = flow.build_course(row, log)
        refused, decision = decide_verb(work, row, verb, course)
        is_sent = decision.send and not refused
        branches = flow.list_branches(row, decision.send, course) if is_sent else []
        links = flow.describe_send(row, decision.send) if is_sent else []
        change = foretell(row.status, decision.status or row.status, links)
    except OperatorRefused as refusal:
        refused, branches, change = str(refusal), [], ""
    ends = tuple((branch.condition, branch.end) for branch in branches)
    return Prospect(row, refused, ends, "refused" if refused else name_ends(branches), held, change)


def name_ends(branches: Iterable[Branch]) -> str:
    return " or ".join(dict.fromkeys(ENDS[branch.after] for branch in branches)) or "left as it is"


def count_outcomes(prospects: Iterable[Prospect]) -> list[Outcome]:
    """Return what would become of the flows, those first of which most would."""
    alike = group_by(lambda each: (each.becomes, each.refused, each.ends, each.change), prospects)
    return [
        Outcome(
            f"{len(some)} would be {becomes}{describe_money(becomes, sum_up(some))}",
            [tell(refused)] if refused else [tell(change), *list_ways(ends)],
        )
        for (becomes, refused, ends, change), some in sorted(alike.items(), key=lambda each: -len(each[1]))
    ]


def list_ways(ends: Iterable[tuple[str, str]]) -> list[str]:
    return [tell(": ".join(filter(None, way))) for way in ends]


def tell(text: str) -> str:
    return end_sentence(capitalize(text))


def sum_up(prospects: Iterable[Prospect]) -> list[Money]:
    """Return the money of these flows, for each state and currency."""
    some = [each.money for each in prospects if each.money]
    return held_money.add_up(
        {"state": each.state, "currency": each.currency, "amount": each.amount} for each in some
    )


def describe_money(becomes: str, sums: Iterable[Money]) -> str:
    """Return what is and would be of the money: "; £680.00 is held and would be let go"."""
    is_cancelled = becomes == "cancelled"
    words = {
        HELD: "is held and would be let go" if is_cancelled else "is held",
        DOUBTFUL: "may be held and would be let go" if is_cancelled else "may be held",
        TAKEN: "is taken",
    }
    return "".join(f"; {money(each.amount, each.currency)} {words[each.state]}" for each in sums)
