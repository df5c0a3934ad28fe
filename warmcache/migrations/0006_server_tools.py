"""Tools that the provider ran for a request."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("warmcache", "0005_lost_writes"),
    ]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="web_fetches",
            field=models.PositiveIntegerField(db_default=0, default=0, help_text="Run by the provider."),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="web_searches",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="Run by the provider and billed for each one; their price is in the cost.",
            ),
        ),
    ]
