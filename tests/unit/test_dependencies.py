"""What pyproject.toml asks for is used."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import files
from pathlib import Path

from celery_config.common.services import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
CODE = ("celery_config", "compose", "tests", *PACKAGES)


def find_modules(distribution: str) -> set[str]:
    """The names under which the distribution can be imported."""
    return {path.parts[0] for path in files(distribution) or () if path.name == "__init__.py"}


def test_each_dependency_is_named_by_code() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    paths = (path for package in CODE for path in (ROOT / package).rglob("*.py"))
    code = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    names = [re.split(r"[\[<>=]", each)[0] for each in asked]
    unused = [name for name in names if not any(module in code for module in find_modules(name))]
    assert unused == []
