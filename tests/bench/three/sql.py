"""The tables of the three steps and their statements: the same for every side."""

from __future__ import annotations

from tests.bench.three.goods import SKUS, SOLD_OUT

TABLES = {
    "order": (
        "CREATE TABLE three_order (id uuid PRIMARY KEY, amount integer NOT NULL, status text NOT NULL DEFAULT 'placed',"
        " created_at timestamptz NOT NULL DEFAULT clock_timestamp(), ended_at timestamptz)",
    ),
    "payment": (
        "CREATE TABLE three_payment (id uuid PRIMARY KEY, order_id uuid NOT NULL UNIQUE, amount integer NOT NULL,"
        " status text NOT NULL DEFAULT 'taken')",
    ),
    "inventory": (
        "CREATE TABLE three_stock (sku text PRIMARY KEY, available integer NOT NULL CHECK (available >= 0))",
        "INSERT INTO three_stock SELECT 'SKU-' || lpad(n::text, 3, '0'), 1000000000"
        f" FROM generate_series(0, {len(SKUS) - 1}) n",
        f"INSERT INTO three_stock VALUES ('{SOLD_OUT}', 0)",
        "CREATE TABLE three_taken (order_id uuid PRIMARY KEY, sku text NOT NULL, quantity integer NOT NULL)",
    ),
    "shipment": (
        "CREATE TABLE three_shipment (id uuid PRIMARY KEY, order_id uuid NOT NULL UNIQUE, address text NOT NULL,"
        " status text NOT NULL DEFAULT 'sent')",
    ),
}

INSERT_ORDERS = "INSERT INTO three_order (id, amount) SELECT * FROM unnest(%s::uuid[], %s::int[])"
# Writes the same rows. It can be a part of a statement that writes other rows too.
INSERT_GIVEN = (
    "INSERT INTO three_order (id, amount)"
    " SELECT id, amount FROM json_to_recordset(%s::json) AS given (id uuid, amount integer)"
)
END_ORDERS = "UPDATE three_order SET status = %s, ended_at = clock_timestamp() WHERE id = ANY(%s)"
TAKE_MONEY = (
    "INSERT INTO three_payment (id, order_id, amount) SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::int[])"
)
GIVE_MONEY_BACK = "UPDATE three_payment SET status = 'given back' WHERE order_id = ANY(%s)"
LOCK_STOCK = "SELECT sku, available FROM three_stock WHERE sku = ANY(%s) ORDER BY sku FOR UPDATE"
MOVE_STOCK = (
    "UPDATE three_stock SET available = available + change"
    " FROM unnest(%s::text[], %s::int[]) AS moved (moved_sku, change) WHERE sku = moved_sku"
)
NOTE_TAKEN = "INSERT INTO three_taken SELECT * FROM unnest(%s::uuid[], %s::text[], %s::int[])"
FORGET_TAKEN = "DELETE FROM three_taken WHERE order_id = ANY(%s) RETURNING sku, quantity"
SEND_PARCELS = (
    "INSERT INTO three_shipment (id, order_id, address)"
    " SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[])"
)
CALL_PARCELS_BACK = "UPDATE three_shipment SET status = 'called back' WHERE order_id = ANY(%s)"
