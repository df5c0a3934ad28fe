"""What the provider says about a refusal."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chatapp", "0005_versions"),
    ]

    operations = [
        migrations.AddField(
            model_name="message",
            name="stop_details",
            field=models.JSONField(blank=True, help_text="What the provider says about a refusal.", null=True),
        ),
    ]
