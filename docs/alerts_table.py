"""`python -m docs.alerts_table`: writes the alerts of docs/reference/metrics.md from the rules for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from docs.generated import replace_part

PAGE = Path(__file__).resolve().parent / "reference" / "metrics.md"
RULES = Path(__file__).resolve().parents[1] / "compose" / "monitoring" / "rules.yaml"


def read_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def table() -> str:
    """Every alert, as Markdown."""
    lines = ["| alert | condition | for | severity | it means |", "|---|---|---|---|---|"]
    for rule in read_rules():
        cells = (
            rule["alert"].removeprefix("OrderSaga"),
            f"`{rule['expr']}`",
            rule.get("for", "at once"),
            rule["labels"]["severity"],
            rule["annotations"]["meaning"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page with its table brought up to date."""
    return replace_part(PAGE, "python -m docs.alerts_table", table())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
