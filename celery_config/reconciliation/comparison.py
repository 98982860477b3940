"""Reconciliation of two sets of records: what a provider or carrier did, and what our rows say it did. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID


class FindingKind(StrEnum):
    ORPHAN = "orphan"  # only in their records: an effect that we do not know of
    MISSING = "missing"  # only in our records
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class BookedEffect:
    """One effect in the records of one side.

    Args:
        id: the other side's id of the effect, which matches the two sides' records.
        order: None if the other side's reference is not one of our orders.
        facts: what must be equal on both sides, such as state or amount (minor units).
    """

    id: str
    order: UUID | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference; `detail` describes it in words."""

    kind: FindingKind
    id: str
    order: UUID | None
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id} (order {self.order or 'none of ours'}): {self.detail}"


def compare(
    *, theirs: Iterable[BookedEffect], ours: Iterable[BookedEffect], unsettled: Collection[UUID] = frozenset()
) -> Iterator[Finding]:
    """Yield every difference between the two sides.

    Args:
        unsettled: orders not judged now, since a call for them is under way.
    """
    known = {entry.id: entry for entry in ours}
    for their in theirs:
        our = known.pop(their.id, None)
        if their.order in unsettled or (our and our.order in unsettled):
            continue
        if our is None:
            detail = f"only they have it: {describe_facts(their.facts)}"
            yield Finding(FindingKind.ORPHAN, their.id, their.order, detail)
        elif differences := list(find_differences(our, their)):
            yield Finding(FindingKind.DIFFERENT, their.id, our.order, "; ".join(differences))
    for our in known.values():
        if our.order not in unsettled:
            detail = f"only we have it: {describe_facts(our.facts)}"
            yield Finding(FindingKind.MISSING, our.id, our.order, detail)


def find_differences(our: BookedEffect, their: BookedEffect) -> Iterator[str]:
    """Yield in words each fact that differs between the two entries."""
    pairs = {"order": (our.order, their.order)}
    pairs |= {name: (our.facts.get(name), their.facts.get(name)) for name in {**our.facts, **their.facts}}
    for name, (ours, theirs) in pairs.items():
        if ours != theirs:
            yield f"{name}: ours {ours}, theirs {theirs}"


def describe_facts(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
