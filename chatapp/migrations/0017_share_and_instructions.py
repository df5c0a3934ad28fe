import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chatapp", "0016_tools"),
    ]

    operations = [
        migrations.AddField(
            model_name="assistant",
            name="suggestions",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="To begin with: one in a line, shown in an empty chat."
            ),
        ),
        migrations.AddField(
            model_name="message",
            name="assistant_name",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Of the assistant that wrote it: its conversation may go on with another. Empty: older than this.",
                max_length=80,
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="instructions",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="What the person wants in each conversation: see `conversations/standing_instructions.py`.",
            ),
        ),
        migrations.CreateModel(
            name="SharedLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "token_hash",
                    models.CharField(help_text="SHA-256; the token is only in the link.", max_length=64, unique=True),
                ),
                (
                    "title",
                    models.CharField(
                        blank=True, default="", help_text="The conversation's, at that time.", max_length=120
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shared_links",
                        to="chatapp.conversation",
                    ),
                ),
                (
                    "tip",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="chatapp.message"
                    ),
                ),
            ],
            options={
                "ordering": ("-created_at", "-pk"),
            },
        ),
    ]
