"""Every deliberately broken variant: the engine's, then the services'."""

from __future__ import annotations

from tests.mutants.of_the_engine import ENGINE
from tests.mutants.of_the_participants import PARTICIPANTS
from tests.mutants.of_the_services import SERVICES
from tests.mutants.of_the_worker import WORKERS

VARIANTS = (*PARTICIPANTS, *ENGINE, *SERVICES, *WORKERS)
