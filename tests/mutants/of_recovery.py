"""Broken variants of `recover`: what is lost comes back, what was erased does not, and a human is asked."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RECOVERY = (
    Mutant(
        name="recovered-without-barrier",
        breaks="the barrier row of a step that was done does not come back, so the step is done again",
        rule="rule 5",
        file="celery_config/participant/recovery.py",
        old="if step.logged in (DONE, UNDONE)]",
        new="if step.logged == UNDONE]",
        suite="shipment",
        tests=("test_recovery.py",),
    ),
    Mutant(
        name="recovery-ends-at-a-fault",
        breaks="one repair that cannot be written stops all others",
        rule="recovery",
        file="celery_config/messaging/recovery.py",
        old="        return str(error) or repr(error)",
        new="        raise",
        suite="shipment",
        tests=("test_recovery.py",),
    ),
    Mutant(
        name="recovered-by-name",
        breaks="what is written from others' rows names erased customers",
        rule="erasure",
        file="celery_config/erasure/recovery.py",
        old="if residue := list(data_map.find_residue()):",
        new="if residue := list[str]():",
        suite="order",
        tests=("test_recovery.py",),
    ),
    Mutant(
        name="erasure-lost-with-the-backup",
        breaks="a customer who was erased after the backup stays",
        rule="erasure",
        file="celery_config/erasure/recovery.py",
        old="    mark_erased(ids)",
        new="    pass",
        suite="shipment",
        tests=("test_recovery.py",),
    ),
    Mutant(
        name="half-done-counts-as-undone",
        breaks="an order whose money is held comes back as cancelled, and no human is asked",
        rule="order",
        file="order_project/lost_orders.py",
        old="        return Status.PARKED",
        new="        return Status.COMPENSATED",
        suite="order",
        tests=("test_recovery.py",),
    ),
)
