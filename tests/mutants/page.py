"""`python -m tests.mutants.page`: writes the table of broken variants into docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

from tests.mutants.mutant import FOLDERS
from tests.mutants.variants import VARIANTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: python -m tests.mutants.page -->", "<!-- end -->"


def table() -> str:
    """The variants, as Markdown."""
    lines = ["| variant | what is broken | breaks | caught by |", "|---|---|---|---|"]
    for mutant in VARIANTS:
        folder = FOLDERS[mutant.suite].removeprefix("tests/").removeprefix("service/")
        tests = ", ".join(f"`{folder}/{test}`" for test in mutant.tests)
        lines.append(f"| `{mutant.name}` | {mutant.breaks} | {mutant.rule} | {tests} |")
    return f"{len(VARIANTS)} variants:\n\n" + "\n".join(lines) + "\n"


def page() -> str:
    """The page with its table brought up to date."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
