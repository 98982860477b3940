"""`./manage.py services`: what each service declares, and the files in which something follows from it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from celery_config.common.services import SERVICES
from compose.generated import containers, example, linter, servers
from compose.generated.parts import Parts, fill
from compose.local.environment import ROOT

FILES: Mapping[str, Callable[[], Parts]] = {
    "compose/compose.yaml": containers.give_parts,
    "compose/.env.example": example.give_parts,
    "compose/Dockerfile": servers.give_copies,
    "compose/Dockerfile.dockerignore": servers.give_context,
    "compose/postgres/services.sh": servers.give_roles,
    "compose/postgres/pg_hba.conf": servers.give_access,
    "compose/monitoring/prometheus.yaml": servers.give_targets,
    "pyproject.toml": linter.give_parts,
}
"""What gives the parts of each file."""
WRITE = "./manage.py services --write"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./manage.py services", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write what differs")
    options = parser.parse_args(argv)
    for service in SERVICES.values():
        print(f"{service.name:<12} {service.role:<13} port {service.port}  {service.package}/")
    differing = find_differing()
    for file, text in differing.items():
        if options.write:
            file.write_text(text, encoding="utf-8")
        print(f"{'written' if options.write else 'not current'}: {file.relative_to(ROOT)}")
    if differing and not options.write:
        print(f"`{WRITE}` writes them.")
    return 1 if differing and not options.write else 0


def find_differing() -> dict[Path, str]:
    """Return the files whose parts are not what follows from the declarations, with the text that they should have."""
    texts = {ROOT / name: fill(ROOT / name, give()) for name, give in FILES.items()}
    return {file: text for file, text in texts.items() if file.read_text(encoding="utf-8") != text}
