"""The Makefile's help names every target with its variables, and both lists of CI's commands are one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[0].split()
OF_THE_FILE = {"VENV", "RUN", "MAKEFILE_LIST"}


@pytest.fixture(scope="module")
def help_texts() -> dict[str, str]:
    """What `make help` says of each target."""
    command = ["make", "--no-print-directory", "help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(line.removeprefix("make ").split(maxsplit=1) for line in done.stdout.splitlines())


def rule(target: str) -> str:
    """The target's line with its recipe."""
    return re.findall(rf"^{target}:.*\n(?:\t.*\n)*", MAKEFILE, re.MULTILINE)[0]


def test_help_lists_every_target(help_texts: dict[str, str]) -> None:
    assert list(help_texts) == TARGETS


def test_every_rule_is_a_target_for_people_or_a_file() -> None:
    assert re.findall(r"^([\w-]+):(?!=)", MAKEFILE, re.MULTILINE) == TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_help_names_the_variables_of_a_target(target: str, help_texts: dict[str, str]) -> None:
    read = {*re.findall(r"\$\(([A-Z_]+)\)", rule(target))} - OF_THE_FILE
    named = {*re.findall(r"\b([A-Z_]+)=", help_texts[target])}
    assert read - named == set()


def test_the_workflow_runs_what_ci_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.findall(r"^make .+$", script, re.MULTILINE)
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["run"]["strategy"]["matrix"]["command"] == commands
