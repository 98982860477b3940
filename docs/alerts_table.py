"""`python -m docs.alerts_table`: writes what the docs say of the alerts from the rules for Prometheus.

docs/reference/metrics.md has their conditions, docs/how-to/operators-card.md what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from docs.generated import replace_part

DOCS = Path(__file__).resolve().parent
RULES = DOCS.parent / "compose" / "monitoring" / "rules.yaml"


def read_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def list_conditions() -> str:
    """Every alert with its condition, as Markdown."""
    lines = ["| alert | condition | for | severity | it means |", "|---|---|---|---|---|"]
    for rule in read_rules():
        cells = (
            name_alert(rule),
            f"`{rule['expr']}`",
            rule.get("for", "at once"),
            rule["labels"]["severity"],
            rule["annotations"]["meaning"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def list_acts() -> str:
    """Every alert with what to do about it, as Markdown: first those that wake somebody."""
    lines = ["| alert | look at | then |", "|---|---|---|"]
    for rule in sorted(read_rules(), key=lambda rule: rule["labels"]["severity"]):
        look, mend = (rule["annotations"][name] for name in ("look", "mend"))
        severity = " (page)" if rule["labels"]["severity"] == "page" else ""
        lines.append(f"| {name_alert(rule)}{severity} | {look} | {mend} |")
    return "\n".join(lines) + "\n"


def name_alert(rule: dict[str, Any]) -> str:
    return str(rule["alert"]).removeprefix("OrderSaga")


PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "reference" / "metrics.md": list_conditions,
    DOCS / "how-to" / "operators-card.md": list_acts,
}


def bring_up_to_date(page: Path) -> str:
    """The text of a page with its table brought up to date."""
    return replace_part(page, "python -m docs.alerts_table", PAGES[page]())


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(bring_up_to_date(each), encoding="utf-8")
