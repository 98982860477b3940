"""Every deliberately broken variant: the engine's, then the services'."""

from __future__ import annotations

from tests.mutants.of_the_engine import ENGINE
from tests.mutants.of_the_participants import PARTICIPANTS
from tests.mutants.of_the_services import SERVICES

VARIANTS = (*PARTICIPANTS, *ENGINE, *SERVICES)
