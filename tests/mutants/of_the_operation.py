"""Broken variants of what keeps the system running for long: its broker's policies, clients, doors, retention."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

OPERATION = (
    Mutant(
        name="letters-at-most-once",
        breaks="a dead letter is lost while the queue of dead letters has no leader",
        rule="rule 19",
        file="celery_config/broker/topology.py",
        old='{"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}',
        new='{"overflow": "reject-publish"}',
        suite="shared",
        tests=("broker/test_dead_lettering.py",),
    ),
    Mutant(
        name="letters-forgotten",
        breaks="an old dead letter is deleted although no operator has dealt with it",
        rule="rule 19",
        file="celery_config/saga/duties.py",
        old="Q(received_at__lt=horizon) & dealt_with",
        new="Q(received_at__lt=horizon)",
        suite="order",
        tests=("test_retention.py",),
    ),
    Mutant(
        name="client-for-each-call",
        breaks="each call of another service makes an HTTP client, and the process grows",
        rule="web",
        file="celery_config/http/service_client.py",
        old="@functools.cache\ndef http_client(",
        new="def http_client(",
        suite="shared",
        tests=("http/test_service_client.py",),
    ),
    Mutant(
        name="plain-calls-answered",
        breaks="with TLS on, a token that came in the clear is taken",
        rule="web",
        file="celery_config/web/middleware.py",
        old="if settings.TLS and not (",
        new="if settings.TLS is None and not (",
        suite="order",
        tests=("web/test_https.py",),
    ),
)
