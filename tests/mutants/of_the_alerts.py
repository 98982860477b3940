"""Broken variants of what wakes people: the rules for Prometheus, and the gauges that they read."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RULES, EACH_RULE = "compose/monitoring/rules.yaml", ("test_alerts.py::TestEachRule",)
ALERTS = (
    Mutant(
        name="alert-wakes-late",
        breaks="no alert fires for messages that wait for five minutes",
        rule="alerts",
        file=RULES,
        old="(order_saga_outbox_age_seconds) > 60",
        new="(order_saga_outbox_age_seconds) > 600",
        suite="acceptance",
        tests=EACH_RULE,
    ),
    Mutant(
        name="alert-never-ends",
        breaks="the alert about dead letters goes on for as long as the relay lives",
        rule="alerts",
        file=RULES,
        old="sum by (reason) (increase(order_saga_dead_letters_total[15m])) > 0",
        new="sum by (reason) (order_saga_dead_letters_total) > 0",
        suite="acceptance",
        tests=EACH_RULE,
    ),
    Mutant(
        name="alert-counts-twins",
        breaks="two webs that say the same raise the alert about the outbox before its time",
        rule="alerts",
        file=RULES,
        old="max by (service) (order_saga_outbox_age_seconds)",
        new="sum by (service) (order_saga_outbox_age_seconds)",
        suite="acceptance",
        tests=EACH_RULE,
    ),
    Mutant(
        name="recovery-unseen",
        breaks="no gauge shows that clients are refused until `recover` is done",
        rule="alerts",
        file="celery_config/messaging/measures.py",
        old='is not done.",\n        epochs.is_recovering(),',
        new='is not done.",\n        False,',
        suite="order",
        tests=("test_health.py::TestFlow",),
    ),
    Mutant(
        name="kept-rows-unseen",
        breaks="old barrier rows whose saga the order service does not know are kept unseen",
        rule="audit",
        file="celery_config/messaging/retention.py",
        old="unknown += sorted(found.keys() - known.ended - known.open)",
        new="pass",
        suite="shared",
        tests=("messaging/test_retention.py::TestBarrier",),
    ),
)
