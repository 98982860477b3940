from django.db import migrations

from celery_config.saga.dead_letters.fingerprints import find_fingerprint, generalise

PIECE = 1000


def write_fingerprints(apps, schema_editor):
    """Group the letters that older releases kept. It is not known since which release they came."""
    letters, groups = apps.get_model("saga", "DeadLetter"), apps.get_model("saga", "LetterGroup")
    position = 0
    while some := list(letters.objects.filter(pk__gt=position).only("task", "fault", "received_at").order_by("pk")[:PIECE]):
        position = some[-1].pk
        found = {}
        for letter in some:
            task, fault = generalise(letter.task), generalise(letter.fault)
            letter.fingerprint = find_fingerprint(task, fault)
            found.setdefault(
                letter.fingerprint,
                groups(fingerprint=letter.fingerprint, task=task, fault=fault, first_at=letter.received_at),
            )
        groups.objects.bulk_create(found.values(), ignore_conflicts=True)
        letters.objects.bulk_update(some, ["fingerprint"])
    letters.objects.filter(dealt_with_at__isnull=False, act="").update(act="dismiss")


class Migration(migrations.Migration):

    dependencies = [
        ('saga', '0015_letter_groups'),
    ]

    operations = [
        migrations.RunPython(write_fingerprints, migrations.RunPython.noop),
    ]
