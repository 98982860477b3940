"""The order service's database with many ended orders, on a PostgreSQL of its own, and what a call costs there."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from celery_config.common.services import SERVICES
from compose.local.postgres import PostgresServer
from tests.bench.service import set_up_django

FILL = """
INSERT INTO order_customer (id, name, email, version, updated_at, currency)
    VALUES (gen_random_uuid(), 'Ada', '', 1, now(), 'EUR');
INSERT INTO saga_sagaclock (id, now, ticked_at, stands_for) VALUES (1, now(), now(), '') ON CONFLICT DO NOTHING;
CREATE TEMP TABLE filled AS
SELECT gen_random_uuid() AS id, gen_random_uuid() AS saga, n % 20 = 0 AS danced,
    now() - n * interval '7 days' / {sagas} AS at,
    CASE WHEN n <= {open} THEN (ARRAY['running', 'running', 'running', 'stopping', 'forward', 'parked'])[1 + n % 6]
        WHEN n % 10 = 0 THEN 'compensated' ELSE 'completed' END AS status,
    (ARRAY['out_of_stock', 'card_declined', 'address_unreachable'])[1 + n % 3] AS code,
    interval '0.4 s' + random() * interval '2 s' AS took
FROM generate_series(1, {sagas}) AS n;
INSERT INTO order_order (id, customer_id, status, currency, total, weight_grams, address, saga, tracking_number,
    cancel_code, cancel_reason, reference, created_at, ended_at)
SELECT id, (SELECT id FROM order_customer LIMIT 1),
    CASE status WHEN 'completed' THEN 'confirmed' WHEN 'compensated' THEN 'cancelled' ELSE 'placed' END,
    'EUR', 1785, 100, '{{}}', CASE WHEN danced THEN NULL ELSE saga END, '',
    CASE status WHEN 'compensated' THEN code ELSE '' END, '', '', at - took,
    CASE WHEN status IN ('completed', 'compensated') THEN at END
FROM filled ORDER BY at;
INSERT INTO saga_sagainstance (id, name, version, subject, data, status, cause, attempt, drives, deadline_at, since,
    due_at, owner, fingerprint, answer_by, started_at, ended_at)
SELECT saga, 'place-order', 1, id::text, '{{"amount": 1785, "currency": "EUR"}}', status,
    CASE status WHEN 'compensated' THEN jsonb_build_object('code', code) ELSE '{{}}' END, 0, 0,
    at + interval '15 minutes', at, CASE WHEN status IN ('running', 'stopping', 'forward') THEN at END,
    CASE status WHEN 'parked' THEN 'operations' ELSE '' END,
    CASE status WHEN 'parked' THEN 'place-order: ' || code ELSE '' END,
    CASE status WHEN 'parked' THEN at + interval '4 hours' END, at - took,
    CASE WHEN status IN ('completed', 'compensated') THEN at END
FROM filled WHERE NOT danced ORDER BY at;
INSERT INTO saga_sagastep (saga_id, name, position, kind, command, logged, updated_at)
SELECT saga, step.name, step.position, step.kind, step.command, 'done', at - took + took * step.position / 6
FROM filled, (VALUES ('authorize-payment', 1, 'compensatable', 'payment.authorize_payment'),
    ('reserve-stock', 2, 'compensatable', 'inventory.reserve_stock'),
    ('book-shipment', 3, 'compensatable', 'shipment.book_shipment'),
    ('capture-payment', 4, 'pivot', 'payment.capture_payment'),
    ('commit-stock', 5, 'retriable', 'inventory.commit_stock'),
    ('dispatch-shipment', 6, 'retriable', 'shipment.dispatch_shipment')) AS step (name, position, kind, command)
WHERE NOT danced AND (at > now() - interval '1 day' OR status = 'parked')
    AND (status = 'completed' OR step.position = 1);
INSERT INTO order_choreography (order_id, status, cause, attempt, drives, deadline_at, since, due_at, owner,
    fingerprint, placed, failure)
SELECT id, status, '{{}}', 0, 0, at + interval '15 minutes', at,
    CASE WHEN status IN ('running', 'stopping', 'forward') THEN at END, '', '',
    '{{"amount": 1785, "currency": "EUR"}}', '{{}}'
FROM filled WHERE danced;
"""

# What else the tables of a busy order service hold: a tenth as many customers and products as orders.
FILL_MORE = """
UPDATE saga_sagainstance SET due_at = due_at + interval '30 days', data = jsonb_build_object('order', subject,
    'customer', gen_random_uuid(), 'amount', 1785, 'currency', 'EUR', 'payment_token', 'tok_approved', 'lines',
    '[{{"sku": "BENCH-1", "quantity": 7}}]'::jsonb, 'address', '{{"name": "Ada Example", "line1": "1 Harbour Street",
        "city": "Dublin", "postal_code": "D02", "country": "IE"}}'::jsonb, 'weight_grams', 100, 'parcels', 1)
WHERE ended_at IS NULL;
UPDATE order_choreography SET due_at = due_at + interval '30 days', placed = (SELECT data - 'order'
    FROM saga_sagainstance WHERE ended_at IS NULL LIMIT 1) || jsonb_build_object('order', order_id)
WHERE status NOT IN ('completed', 'compensated');
INSERT INTO order_customer (id, name, email, reference, version, updated_at, currency, created_at)
SELECT gen_random_uuid(), 'Customer ' || n, 'customer' || n || '@example.com', 'C-' || n, 1, now(), 'EUR',
    now() - n * interval '1 minute'
FROM generate_series(1, {sagas} / 10) AS n;
UPDATE order_order SET reference = 'R-' || numbered.n, tracking_number = 'SB-' || numbered.n,
    address = '{{"name": "Ada Example", "line1": "1 Harbour Street", "city": "Dublin", "postal_code": "D02",
        "country": "IE"}}'
FROM (SELECT id, row_number() OVER (ORDER BY created_at) AS n FROM order_order) AS numbered
WHERE numbered.id = order_order.id;
INSERT INTO order_orderline (order_id, sku, name, quantity, unit_price)
SELECT id, 'BENCH-' || weight_grams, 'A product', 7, 255 FROM order_order;
INSERT INTO order_catalogueproduct (sku, name, price, currency, weight_grams, active, version)
SELECT 'BENCH-' || n, 'Product ' || md5(n::text), 100 + n, CASE WHEN n % 9 = 0 THEN 'GBP' ELSE 'EUR' END, 50,
    n % 20 <> 0, 1
FROM generate_series(1, {sagas} / 10) AS n;
INSERT INTO order_refund (id, order_id, amount, reason, by, status, detail, saga, created_at)
SELECT gen_random_uuid(), id, 100, 'broken', 'ada', 'paid', '', gen_random_uuid(), created_at
FROM order_order WHERE status = 'confirmed' LIMIT {sagas} / 20;
INSERT INTO order_erasure (id, customer, by, why, open_sagas, asked_at, done_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'ada', 'asked', 0, now() - n * interval '1 hour', now()
FROM generate_series(1, {sagas} / 100) AS n;
INSERT INTO order_seenevent (choreography_id, kind, content, at)
SELECT order_id, kind, '{{}}', since
FROM order_choreography, unnest(ARRAY['payment.payment_authorized', 'inventory.stock_reserved',
    'shipment.shipment_booked', 'payment.payment_captured', 'inventory.stock_committed']) AS kind;
INSERT INTO saga_sagadecision (saga_id, at, came, status_before, status_after, sent, detail)
SELECT id, ended_at, 'step failed: authorize-payment', 'running', 'stopping', 'stop chain', ''
FROM saga_sagainstance WHERE status = 'compensated';
INSERT INTO saga_operatoraction (saga_id, at, verb, subject, what, by, why, effect)
SELECT id, started_at, 'retry', subject, '', 'ada', 'it is mended', 'parked to stopping'
FROM saga_sagainstance LIMIT {sagas} / 10;
INSERT INTO saga_deadletter (received_at, reason, queue, task, task_id, saga, step, operation, fault, consequence,
    dealt_with_at, dealt_with_by, headers, body)
SELECT now() - n * interval '1 minute', 'rejected', 'order', 'shipment.weigh_parcel', gen_random_uuid(), NULL, '', '',
    'unknown task', 'nothing was done', CASE WHEN n > 50 THEN now() END, '', '{{}}', '{{}}'
FROM generate_series(1, {sagas} / 50) AS n;
INSERT INTO messaging_idempotencykey (digest, request_hash, status, made, subject, created_at)
SELECT md5(id::text) || md5(id::text), '', 202, id::text, id, created_at FROM order_order;
INSERT INTO messaging_outboxmessage (kind, name, saga, payload, route, due_at, published_at, created_at)
SELECT 'task', 'payment.authorize_payment', saga, '{{"task": "payment.authorize_payment"}}', 'tasks/payment',
    created_at, created_at, created_at
FROM order_order;
INSERT INTO messaging_inboxentry (event, handler, received_at)
SELECT id, 'celery_config.saga.engine.tasks.write_saga_log', created_at FROM order_order;
INSERT INTO messaging_barrierrow (key, saga, step, command, command_hash, action, undo, note, created_at, updated_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'forget', 'order.forget', '', 'done', '', '', now(), now()
FROM generate_series(1, {sagas} / 10) AS n;
INSERT INTO messaging_contradiction (event, kind, key, subject, reason, told, received_at)
SELECT 'evt_' || n, 'payment.captured', gen_random_uuid(), gen_random_uuid(), 'amount', '{{}}', now()
FROM generate_series(1, {sagas} / 100) AS n;
INSERT INTO api_changerecord (kind, key, what, by, at)
SELECT 'customer', id::text, '{{}}', 'ada', created_at FROM order_customer;
INSERT INTO copies_tombstone (source, key, version, deleted_at)
SELECT 'customer', gen_random_uuid()::text, 2, now() FROM generate_series(1, {sagas} / 100) AS n;
"""

# A batch of the largest size in each state. What is open fails again and again, as while a provider is away.
FILL_BATCHES = """
INSERT INTO saga_sagastep (saga_id, name, position, kind, command, logged)
SELECT saga.id, step.name, step.position, step.kind, step.command, ''
FROM saga_sagainstance AS saga, (VALUES ('reserve-stock', 2, 'compensatable', 'inventory.reserve_stock'),
    ('book-shipment', 3, 'compensatable', 'shipment.book_shipment'),
    ('capture-payment', 4, 'pivot', 'payment.capture_payment'),
    ('commit-stock', 5, 'retriable', 'inventory.commit_stock'),
    ('dispatch-shipment', 6, 'retriable', 'shipment.dispatch_shipment')) AS step (name, position, kind, command)
WHERE saga.ended_at IS NULL ON CONFLICT DO NOTHING;
INSERT INTO saga_steptry (event, flow, step, operation, number, code, reason, at, next_at)
SELECT gen_random_uuid(), saga.id, failed.step, failed.operation, 5, 'unknown_outcome',
    'POST /v1/holds: answered 500: {{"error": {{"reason": "out of order"}}}}', now(), now() + interval '1 day'
FROM saga_sagainstance AS saga JOIN (VALUES ('running', 'reserve-stock', 'do'), ('forward', 'reserve-stock', 'do'),
    ('stopping', 'capture-payment', 'fence')) AS failed (status, step, operation) ON failed.status = saga.status;
INSERT INTO batches_batch (id, kind, verb, chosen_by, by, why, state, one_first, per_minute, created_at, started_at,
    ended_at, settled_at)
SELECT gen_random_uuid(), 'saga.sagainstance', 'retry', '{{}}', 'ada', 'the provider is mended', state, true, 600,
    now(), CASE WHEN state NOT IN ('checking', 'ready') THEN now() END,
    CASE WHEN state IN ('stopped', 'ended') THEN now() END, CASE WHEN state = 'ended' THEN now() END
FROM unnest(ARRAY['checking', 'ready', 'trying', 'running', 'paused', 'stopped', 'ended']) AS state;
INSERT INTO batches_batchitem (batch_id, flow, seen_status, seen_since, state, would_be, reason, money_state, currency,
    amount, acted_at, outcome)
SELECT batch.id, flow.id, 'parked', now(), item.state, CASE item.state WHEN 'acted' THEN 'cancelled' ELSE '' END,
    CASE item.state WHEN 'refused' THEN 'its data cannot be read'
        WHEN 'left alone' THEN 'it has moved since it was chosen' ELSE '' END,
    (ARRAY['held', 'in doubt'])[1 + flow.n % 2], 'EUR', 1785, CASE item.state WHEN 'acted' THEN now() END,
    CASE WHEN item.state = 'acted' THEN (ARRAY['compensated', 'completed', 'parked', ''])[1 + flow.n % 4] ELSE '' END
FROM batches_batch AS batch,
    (SELECT id, row_number() OVER () AS n FROM saga_sagainstance LIMIT {items}) AS flow,
    LATERAL (SELECT CASE WHEN batch.state = 'checking' AND flow.n % 2 = 0 THEN 'chosen'
        WHEN batch.state IN ('checking', 'ready', 'trying') OR (batch.state IN ('running', 'paused') AND flow.n % 2 = 0)
            THEN 'checked'
        WHEN batch.state = 'stopped' AND flow.n % 2 = 0 THEN 'left alone'
        WHEN flow.n % 50 = 0 THEN 'refused' ELSE 'acted' END AS state) AS item;
"""


@contextmanager
def serve_order() -> Iterator[PostgresServer]:
    """Start a PostgreSQL of its own, and set up Django with the order service's settings and empty tables there.

    No statement runs in parallel, so that the process of this connection does all the work, and its time tells all.
    """
    with tempfile.TemporaryDirectory(prefix="filled-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PostgresServer(folder / "pg", [*SERVICES], for_tests=True, log=folder / "pg.log")
        server.wipe()
        server.start()
        try:
            with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET max_parallel_workers_per_gather = 0")
                connection.execute("SELECT pg_reload_conf()")
            os.environ["ORDER_DATABASE_URL"] = server.url("order")
            os.environ["ORDER_SAGA_VAR"] = str(folder / "var")
            set_up_django("order")
            from django.core.management import call_command

            call_command("migrate", verbosity=0)
            yield server
        finally:
            server.stop()
            server.wipe()


def fill_order(server: PostgresServer, script: str, **numbers: int) -> float:
    """Run the statements of a script without triggers; return the seconds that it took."""
    began = time.monotonic()
    with psycopg.connect(server.superuser_url("order"), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute(script.format(**numbers))
        connection.execute("VACUUM ANALYZE")
    return time.monotonic() - began


@dataclass(frozen=True)
class Cost:
    """CPU time in milliseconds."""

    own: float
    server: float

    @property
    def total(self) -> float:
        return self.own + self.server


def measure_cost(run: Callable[[], Any]) -> Cost:
    """Run it, and return what it cost this process and the database's process for this connection."""
    server, own = read_server_seconds(), time.process_time()
    run()
    own, server = time.process_time() - own, read_server_seconds() - server
    return Cost(1000 * own, 1000 * server)


def read_server_seconds() -> float:
    """CPU seconds that the database's process for this connection has used."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ((pid,),) = cursor.fetchall()
    nanoseconds, *_ = Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()
    return int(nanoseconds) / 1e9
