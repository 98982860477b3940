import celery_config.db.functions
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0006_trouble'),
    ]

    operations = [
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('digest', models.CharField(help_text='SHA-256 of client and key', max_length=64, primary_key=True, serialize=False)),
                ('request_hash', models.CharField(blank=True, max_length=64)),
                ('status', models.PositiveSmallIntegerField(help_text='of the first answer')),
                ('made', models.CharField(blank=True, db_default='', default='', help_text='id of what was made', max_length=200)),
                ('subject', models.UUIDField(blank=True, db_index=True, help_text='the order, customer or saga that it is about', null=True)),
                ('created_at', models.DateTimeField(db_default=celery_config.db.functions.Now())),
            ],
            options={
                'indexes': [models.Index(fields=['created_at'], name='idempotency_key_by_time')],
            },
        ),
    ]
