"""The parts of pyproject.toml: which service may import what."""

from __future__ import annotations

import json
from collections.abc import Iterable

from celery_config.common.declarations import Service
from celery_config.common.services import PACKAGES, PARTICIPANTS, SERVICES
from compose.generated.parts import Parts
from compose.local.environment import ROOT

CONTRACTS = "celery_config.contracts"


def give_parts() -> Parts:
    """Return the lines of each part."""
    domains = [f"{package}.domain" for package in PACKAGES if (ROOT / package / "domain.py").exists()]
    participants = [SERVICES[name].package for name in PARTICIPANTS]
    parts_of_participants = [*participants, "celery_config.participant.handlers", "celery_config.messaging"]
    return {
        "roots": [give_list("root_packages", ["celery_config", *PACKAGES, "compose"])],
        "independence": [give_list("modules", PACKAGES)],
        "what is shared": [give_list("forbidden_modules", [*PACKAGES, "compose"])],
        "circles": [give_list("ancestors", ["celery_config", *PACKAGES, "compose"])],
        "contracts": [
            give_list("forbidden_modules", [*(f"{CONTRACTS}.{name}" for name in SERVICES), f"{CONTRACTS}.values"])
        ],
        "domains": [f'"{domain}",' for domain in domains],
        "participants": [give_list("source_modules", parts_of_participants)],
        "own contracts": [line for name in PARTICIPANTS for line in describe_own_contracts(SERVICES[name])],
    }  # fmt: skip


def give_list(name: str, values: Iterable[str]) -> str:
    """Return a line of TOML with a list."""
    return f"{name} = [{', '.join(json.dumps(value) for value in values)}]"


def describe_own_contracts(service: Service) -> list[str]:
    """Say that a participant imports no contract of another, except where it says what it hears and copies."""
    package = service.package
    others = [f"{CONTRACTS}.{name}" for name in SERVICES if name != service.name]
    allowed = [f"{package}.subscriptions -> {CONTRACTS}.*"]
    allowed += [f"{package}.copies -> {CONTRACTS}.{source}" for source in service.keeps_copies_of]
    return [
        "[[tool.importlinter.contracts]]",
        f'name = "{service.name.capitalize()} speaks its own contracts only"',
        'type = "forbidden"',
        give_list("source_modules", [package]),
        give_list("forbidden_modules", others),
        "# What others announce is in the files that say what it hears and which copies it keeps.",
        give_list("ignore_imports", allowed),
        'unmatched_ignore_imports_alerting = "none"',
        "",
    ]
