import hashlib
import re

from django.db import migrations

# Of two keys that are one now the first one counts.
MOVE = """
INSERT INTO messaging_idempotencykey (digest, request_hash, status, made, subject, created_at)
SELECT {digest}, request_hash, 202, {order}, {subject}, created_at FROM order_idempotencykey
WHERE true ORDER BY created_at, id
ON CONFLICT DO NOTHING
"""
# The holder of the one token for all services; its programs have the operator's token now.
CLIENT = "CASE client WHEN 'service' THEN 'service:operator' ELSE client END"
# Quotes were part of a key.
QUOTED = r'''^"([^"\\]|\\["\\])*"$'''
ESCAPED = r"\\(.)"
KEY = rf"""
CASE WHEN key ~ '{QUOTED}'
THEN trim(regexp_replace(substr(key, 2, length(key) - 2), '{ESCAPED}', '\1', 'g')) ELSE key END
"""


def digest(client, key):
    if re.match(QUOTED, key):
        key = re.sub(ESCAPED, r"\1", key[1:-1]).strip()
    return hashlib.sha256(f"{client}\n{key}".encode()).hexdigest()


def move_keys(apps, schema_editor):
    """The keys of orders join those of all other requests: the digest of client and key, and what it made."""
    connection = schema_editor.connection
    if connection.vendor == "postgresql":
        # What an older process commits while this runs would be lost, and its repeat would be a second order.
        schema_editor.execute("LOCK TABLE order_idempotencykey IN EXCLUSIVE MODE")
        columns = {
            "digest": f"encode(sha256(convert_to({CLIENT} || chr(10) || {KEY}, 'UTF8')), 'hex')",
            "order": "response->>'order'",
            "subject": "(response->>'order')::uuid",
        }
    else:
        connection.ensure_connection()
        connection.connection.create_function("digest_key", 2, digest)
        order = "json_extract(response, '$.order')"
        columns = {
            "digest": f"digest_key({CLIENT}, key)",
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
