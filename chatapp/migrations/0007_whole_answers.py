"""What a reply's content lacks to go back to the API whole."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chatapp", "0006_refusals"),
    ]

    operations = [
        migrations.AddField(
            model_name="message",
            name="rounds",
            field=models.JSONField(
                blank=True,
                help_text="For each request: its first block, the API's message without content, events of unknown kinds.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="message",
            name="shared_hash",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Of what stood before its history. Only where it is the same, more than its text goes back.",
                max_length=64,
            ),
        ),
    ]
