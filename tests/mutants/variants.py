"""Every deliberately broken variant: of engine, services, erasure, operation, operators, recovery and alerts."""

from __future__ import annotations

from tests.mutants.of_erasure import ERASURE
from tests.mutants.of_recovery import RECOVERY
from tests.mutants.of_the_alerts import ALERTS
from tests.mutants.of_the_engine import ENGINE
from tests.mutants.of_the_operation import OPERATION
from tests.mutants.of_the_operators import OPERATORS
from tests.mutants.of_the_participants import PARTICIPANTS
from tests.mutants.of_the_services import SERVICES
from tests.mutants.of_the_worker import WORKERS

VARIANTS = (*PARTICIPANTS, *ENGINE, *SERVICES, *WORKERS, *ERASURE, *OPERATION, *OPERATORS, *RECOVERY, *ALERTS)
