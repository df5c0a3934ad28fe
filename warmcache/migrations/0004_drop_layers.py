from django.db import migrations


class Migration(migrations.Migration):
    """Apart from 0003, as PostgreSQL alters no table that has rows waiting for their foreign keys to be checked."""

    dependencies = [
        ("warmcache", "0003_settlement_lines"),
    ]

    operations = [
        migrations.RemoveField(model_name="warmup", name="layers"),
    ]
