"""What pyproject.toml asks for is used, and what is installed is listed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
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


def test_the_bill_of_materials_lists_each_locked_package_with_its_hashes(tmp_path: Path) -> None:
    recipe = re.findall(
        r"\$\(VENV\)/bin/(cyclonedx-py .+)\n", (ROOT / "Makefile").read_text(encoding="utf-8")
    )
    program, *words = recipe[0].split()
    words[words.index("--output-file") + 1] = str(tmp_path / "sbom.json")
    subprocess.run([Path(sys.executable).with_name(program), *words], cwd=ROOT, check=True)
    components = json.loads((tmp_path / "sbom.json").read_text())["components"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert {f"{each['name']}=={each['version']}" for each in components} == {
        line.replace("[binary]", "") for line in re.findall(r"(?m)^[\w.\[\]-]+==[\w.]+", lock)
    }
    assert all(reference["hashes"] for each in components for reference in each["externalReferences"])
