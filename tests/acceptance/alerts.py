"""What Prometheus would make of some series: promtool evaluates compose/monitoring/rules.yaml over them."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from compose.monitoring.dashboards import SUMS, read_sums
from docs.alerts_table import RULES, read_rules
from tests.prometheus import find_or_install_promtool

ALERTS = [rule["alert"] for rule in read_rules()]
EXPRESSIONS = [*(rule["expr"] for rule in read_rules()), *read_sums().values()]
NAMED = {
    name
    for expression in EXPRESSIONS
    for name in re.findall(r"\b(?:order_saga|process)_\w+\b(?!,)", expression)
}
"""Metrics that the alerts and the dashboards read."""
# Minutes. A phase is longer than the longest `for` and window of a rule.
PHASE, SETTLING, STEP = 90, 20, 5
SAMPLES = PHASE // STEP
Series = dict[str, float]
"""Values by series, such as `up{service="order"}`."""


def write_test(name: str, phases: Sequence[Series], firing: Sequence[Collection[str]]) -> dict[str, Any]:
    """One test for promtool: each phase lasts `PHASE` minutes, in which exactly these alerts fire at some time.

    Of a phase in which nothing fires the first `SETTLING` minutes do not count.
    """
    series = sorted({name for phase in phases for name in phase})
    return {
        "name": name,
        "interval": f"{STEP}m",
        "input_series": [
            {"series": each, "values": " ".join(repeat(phase.get(each)) for phase in phases)}
            for each in series
        ],
        "promql_expr_test": [
            {
                "expr": f'group by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{window}m]))',
                "eval_time": f"{(number + 1) * PHASE - 1}m",
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(expected)
                ],
            }
            for number, expected in enumerate(firing)
            for window in [PHASE - (STEP if expected else SETTLING)]
        ],
    }


def expect(series: str, phase: int, count: int) -> dict[str, Any]:
    """For a test of `write_test`: in this phase so many series of an expression over `ALERTS` were there.

    Args:
        series: such as `ALERTS{alertname="OrderSagaParked"}`.
    """
    window = f"[{PHASE - STEP}m]"
    return {
        "expr": f"count(count_over_time({series}{window}))",
        "eval_time": f"{(phase + 1) * PHASE - 1}m",
        "exp_samples": [{"labels": "{}", "value": count}],
    }


def repeat(value: float | None) -> str:
    if value is None:
        return f"_x{SAMPLES}"
    return f"{'Inf' if value == float('inf') else f'{value:.9g}'}+0x{SAMPLES - 1}"


def evaluate(folder: Path, *tests: dict[str, Any]) -> None:
    """Let promtool carry out the tests."""
    file = folder / "rules_test.yaml"
    file.write_text(
        yaml.safe_dump(
            {"rule_files": [str(RULES), str(SUMS)], "evaluation_interval": f"{STEP}m", "tests": list(tests)}
        )
    )
    promtool = find_or_install_promtool()
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def scrape(targets: Mapping[tuple[str, str], str]) -> Series:
    """What Prometheus would store now, of what the rules read.

    Args:
        targets: the address of each process, by service and kind.
    """
    found: Series = {}
    for (service, process), url in targets.items():
        target = f'job="order-saga",instance="{service}-{process}",service="{service}",process="{process}"'
        try:
            text = httpx.get(url, trust_env=False, timeout=10.0).raise_for_status().text
        except httpx.HTTPError:
            found[f"up{{{target}}}"] = 0
            continue
        found[f"up{{{target}}}"] = 1
        found |= parse(text, target)
    return found


def list_names(targets: Mapping[tuple[str, str], str]) -> set[str]:
    """The names of all that these processes export."""
    texts = [
        httpx.get(url, trust_env=False, timeout=10.0).raise_for_status().text for url in targets.values()
    ]
    return {name for text in texts for name in re.findall(r"^(?:# TYPE )?(\w+)", text, re.MULTILINE)}


def parse(text: str, target: str) -> Series:
    """What a process exports of ours.

    Times are seconds from now: promtool's clock begins with 0, so they are as old in the first phase as they are here.

    Args:
        target: the labels that Prometheus gives the process.
    """
    found: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("order_saga_") and not sample.name.endswith(("_bucket", "_created")):
                labels = ",".join([target, *(f'{name}="{value}"' for name, value in sample.labels.items())])
                is_time = sample.name.endswith("_timestamp_seconds")
                found[f"{sample.name}{{{labels}}}"] = sample.value - time.time() * is_time
    return found
