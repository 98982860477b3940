"""Recovery of erasures: what was erased since the backup comes back with it, and `recover` blanks it again.

The tombstones of the other services say which ids were erased. What `recover` itself writes about these ids, from what
others still have, is blanked in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from uuid import UUID

from celery_config.erasure.data_map import DataMap
from celery_config.erasure.tombstones import erased_among, mark_erased
from celery_config.http.service_client import ServiceClient
from celery_config.messaging.recovery import Question, Repair

PAGE = 500


def find_none(ids: Collection[UUID]) -> set[UUID]:
    return set()


def recover_erasures(
    data_map: DataMap, *services: str, find_needed: Callable[[Collection[UUID]], set[UUID]] = find_none
) -> Iterator[Repair | Question]:
    """What is to be done about erased customers.

    Args:
        services: whose tombstones are ours, too.
        find_needed: says which of the ids name what has not ended here and still needs its data.

    Raises:
        ServiceCallError: one of them does not answer.
    """
    lost = set[UUID]().union(*(find_lost_tombstones(ServiceClient(service)) for service in services))
    if needed := find_needed(lost):
        yield Question(
            "",
            f"{len(needed)} erased customers, orders and sagas are here again, and their orders have not ended: when"
            " they have, run recover again",
        )
    if lost := lost - needed:
        what = f"tombstones of {len(lost)} erased customers, orders and sagas"
        yield Repair("", what, f"the tombstones of {' and '.join(services)}", partial(write_tombstones, lost))
    if residue := list(data_map.find_residue()):
        yield Repair("", f"blank: {'; '.join(residue)}", "our tombstones", partial(blank, data_map))


def find_lost_tombstones(peer: ServiceClient) -> set[UUID]:
    """The ids that are erased there and not here."""
    lost: set[UUID] = set()
    for page in peer.get_pages(f"/api/forgotten/?limit={PAGE}"):
        ids = {UUID(row["id"]) for row in page}
        lost |= ids - erased_among(ids)
    return lost


def write_tombstones(ids: set[UUID], note: str) -> None:
    mark_erased(ids)


def blank(data_map: DataMap, note: str) -> None:
    done = data_map.erase_residue()
    if done.failed:
        raise RuntimeError("; ".join(done.failed))
