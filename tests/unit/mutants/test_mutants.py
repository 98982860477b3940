"""The deliberately broken variants: each can still be planted, and has tests that exist."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.mutants import page
from tests.mutants.mutant import FOLDERS, Mutant
from tests.mutants.variants import VARIANTS

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("mutant", VARIANTS, ids=lambda mutant: mutant.name)
def test_it_can_be_planted_and_read(mutant: Mutant) -> None:
    read = yaml.safe_load if mutant.file.endswith(".yaml") else ast.parse
    assert read(mutant.planted_in(ROOT))


@pytest.mark.parametrize("mutant", VARIANTS, ids=lambda mutant: mutant.name)
def test_its_tests_exist(mutant: Mutant) -> None:
    for test in mutant.tests:
        file, *names = test.split("::")
        found: ast.AST = ast.parse((ROOT / FOLDERS[mutant.suite] / file).read_text(encoding="utf-8"))
        for name in names:
            (found,) = [node for node in ast.iter_child_nodes(found) if getattr(node, "name", "") == name]


def test_each_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(m.name for m in VARIANTS).items() if times > 1] == []


def test_the_page_lists_them_all() -> None:
    """After a change of a variant: `python -m tests.mutants.page`."""
    assert page.PAGE.read_text(encoding="utf-8") == page.page()
