import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

STATEMENTS = {
    "sqlite": "UPDATE chatapp_attachment SET size_bytes = LENGTH(CAST(text AS BLOB))",
    "postgresql": "UPDATE chatapp_attachment SET size_bytes = OCTET_LENGTH(text)",
}


def measure_attachments(apps, schema_editor):
    schema_editor.execute(STATEMENTS[schema_editor.connection.vendor])


class Migration(migrations.Migration):
    dependencies = [
        ("chatapp", "0005_versions"),
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
    ]
