import hashlib

from django.db import migrations

MOVE = """
INSERT INTO messaging_idempotencykey (digest, request_hash, status, made, subject, created_at)
SELECT {digest}, request_hash, 202, {order}, {subject}, created_at FROM order_idempotencykey
"""


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def move_keys(apps, schema_editor):
    """The keys of orders join those of all other requests: the digest of client and key, and what it made."""
    connection = schema_editor.connection
    if connection.vendor == "postgresql":
        # What an older process commits while this runs would be lost, and its repeat would be a second order.
        schema_editor.execute("LOCK TABLE order_idempotencykey IN EXCLUSIVE MODE")
        columns = {
            "digest": "encode(sha256(convert_to(client || chr(10) || key, 'UTF8')), 'hex')",
            "order": "response->>'order'",
            "subject": "(response->>'order')::uuid",
        }
    else:
        connection.ensure_connection()
        connection.connection.create_function("sha256_hex", 1, digest)
        order = "json_extract(response, '$.order')"
        columns = {
            "digest": "sha256_hex(client || char(10) || key)",
            "order": order,
            "subject": f"replace({order}, '-', '')",
        }
    schema_editor.execute(MOVE.format(**columns))


class Migration(migrations.Migration):

    dependencies = [
        ("order", "0011_who_did_it"),
        ("messaging", "0007_idempotencykey"),
    ]

    operations = [
        migrations.RunPython(move_keys, migrations.RunPython.noop),
        migrations.DeleteModel("IdempotencyKey"),
    ]
