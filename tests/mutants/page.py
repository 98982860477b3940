"""`python -m tests.mutants.page`: writes the table of broken variants into docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

from docs.generated import replace_part
from docs.rules import name_rules
from tests.mutants.mutant import FOLDERS
from tests.mutants.variants import VARIANTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"


def table() -> str:
    """The variants, as Markdown."""
    lines = ["| variant | what is broken | breaks | caught by |", "|---|---|---|---|"]
    for mutant in VARIANTS:
        folder = FOLDERS[mutant.suite].removeprefix("tests/")
        tests = ", ".join(f"`{folder}/{test}`" for test in mutant.tests)
        lines.append(f"| `{mutant.name}` | {mutant.breaks} | {name_rules(mutant.rule)} | {tests} |")
    return f"{len(VARIANTS)} variants:\n\n" + "\n".join(lines) + "\n"


def page() -> str:
    """The page with its table brought up to date."""
    return replace_part(PAGE, "python -m tests.mutants.page", table())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
