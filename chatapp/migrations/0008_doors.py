import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import chatapp.models

STATEMENTS = {
    "sqlite": "UPDATE chatapp_attachment SET size_bytes = LENGTH(CAST(text AS BLOB))",
    "postgresql": "UPDATE chatapp_attachment SET size_bytes = OCTET_LENGTH(text)",
}


def measure_attachments(apps, schema_editor):
    schema_editor.execute(STATEMENTS[schema_editor.connection.vendor])


def salt_users(apps, schema_editor):
    """Each gets one of their own; conversations get it when they are cold."""
    User = apps.get_model("chatapp", "User")
    users = list(User.objects.only("pk"))
    for user in users:
        user.cache_salt = chatapp.models.new_salt()
    User.objects.bulk_update(users, ["cache_salt"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [
        ("chatapp", "0007_whole_answers"),
    ]

    operations = [
        migrations.AddField(
            model_name="attachment",
            name="size_bytes",
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text="Of the text, in UTF-8."),
        ),
        migrations.AddIndex(
            model_name="attachment",
            index=models.Index(
                condition=models.Q(("message", None), ("queued", None)), fields=["created_at"], name="attachment_unsent"
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="deletion_asked_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="Deactivated, and being deleted in the background with everything of theirs.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="cache_salt",
            field=models.CharField(
                default=chatapp.models.new_salt,
                editable=False,
                help_text="Random: keeps prompt caches of people apart.",
                max_length=32,
            ),
        ),
        migrations.AddField(
            model_name="conversation",
            name="cache_salt",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="Its owner's, in each prompt from its beginning. Empty only if it is older than salts, "
                "until it is cold.",
                max_length=32,
            ),
        ),
        # Links live for hours: a restart of the demo prints a new one.
        migrations.DeleteModel(name="SignInLink"),
        migrations.CreateModel(
            name="SignInLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "token_hash",
                    models.CharField(help_text="SHA-256; the token is only in the link.", max_length=64, unique=True),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.RunPython(measure_attachments, migrations.RunPython.noop),
        migrations.RunPython(salt_users, migrations.RunPython.noop),
    ]
