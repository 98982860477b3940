
import celery_config.db.functions
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0005_outbox_routes'),
    ]

    operations = [
        migrations.CreateModel(
            name='Trouble',
            fields=[
                ('cause', models.CharField(choices=[('database', 'Database'), ('handler', 'Handler'), ('relay', 'Relay')], max_length=10, primary_key=True, serialize=False)),
                ('reason', models.CharField(max_length=200)),
                ('since', models.DateTimeField(db_default=celery_config.db.functions.Now())),
                ('until', models.DateTimeField(help_text='until when it counts, if it is not seen again')),
                ('count', models.PositiveIntegerField(db_default=1, default=1, help_text='how often it was seen since')),
            ],
        ),
    ]
