
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('order', '0013_id_endings'),
    ]

    operations = [
        migrations.CreateModel(
            name='Desk',
            fields=[
            ],
            options={
                'verbose_name': 'order desk',
                'verbose_name_plural': 'order desk',
                'permissions': [('use_desk', 'Can place orders at the order desk')],
                'proxy': True,
                'default_permissions': (),
                'indexes': [],
                'constraints': [],
            },
            bases=('order.order',),
        ),
    ]
