"""Each verb has its own permission. Who had the one permission of all verbs has each of them afterwards."""

from django.db import migrations

ALL = "change_sagainstance"
PERMISSIONS = [
    ("retry_sagainstance", "Can bring sagas and orders to an end"),
    ("compensate_sagainstance", "Can cancel and undo sagas and orders"),
    ("resume_sagainstance", "Can finish sagas that are past their point of no return"),
    ("take_over_sagainstance", "Can take over what waits for a decision"),
    ("settle_sagainstance", "Can settle calls by hand"),
    ("hurry_sagainstance", "Can have sagas and orders looked at now"),
    ("reschedule_sagainstance", "Can change the deadline of sagas and orders"),
]
OTHERS = [
    ("saga", "sagapause", "add_sagapause", "Can add pause"),
    ("saga", "sagapause", "delete_sagapause", "Can delete pause"),
    ("batches", "batch", "add_batch", "Can add batch"),
    ("batches", "batch", "change_batch", "Can change batch"),
    ("holds", "hold", "add_hold", "Can add hold"),
    ("holds", "hold", "change_hold", "Can change hold"),
]


def give_each(apps, schema_editor):
    using = schema_editor.connection.alias
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    old = permissions.filter(content_type__app_label="saga", codename=ALL).first()
    if old is None:  # a new database has none yet
        return
    types = apps.get_model("contenttypes", "ContentType").objects.using(using)
    new = []
    for app, model, codename, name in [*(("saga", "sagainstance", *each) for each in PERMISSIONS), *OTHERS]:
        kind, _ = types.get_or_create(app_label=app, model=model)
        new.append(
            permissions.get_or_create(content_type=kind, codename=codename, defaults={"name": name})[0]
        )
    for account in old.user_set.all():
        account.user_permissions.add(*new)
    for group in old.group_set.all():
        group.permissions.add(*new)
    permissions.filter(
        content_type__app_label="saga", codename__in=[ALL, "add_sagainstance", "delete_sagainstance"]
    ).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("saga", "0017_holds"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="sagainstance",
            options={
                "default_permissions": ("view",),
                "permissions": PERMISSIONS,
                "verbose_name": "saga",
            },
        ),
        migrations.RunPython(give_each, migrations.RunPython.noop),
    ]
