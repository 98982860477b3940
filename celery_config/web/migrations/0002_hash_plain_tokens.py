"""The tokens of older versions go on until they expire: their hashes are kept, and the table with the tokens is dropped."""

from datetime import timedelta

from django.conf import settings
from django.db import migrations
from django.utils import timezone
from knox.crypto import hash_token

PLAIN = "authtoken_token"


def hash_plain_tokens(apps, schema_editor):
    connection = schema_editor.connection
    if PLAIN not in connection.introspection.table_names():
        return
    tokens = apps.get_model("api", "UserToken").objects.using(connection.alias)
    expiry = timezone.now() + timedelta(days=settings.TOKEN_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT key, user_id FROM {PLAIN}")
        for key, user in cursor.fetchall():
            tokens.create(digest=hash_token(key), user_id=user, name="of an older version", expiry=expiry)
        cursor.execute(f"DROP TABLE {PLAIN}")


class Migration(migrations.Migration):
    dependencies = [
        ("api", "0001_tokens"),
    ]

    operations = [
        migrations.RunPython(hash_plain_tokens, migrations.RunPython.noop),
    ]
