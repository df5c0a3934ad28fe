"""Columns with a default of the database's own, so that a process of the release before goes on writing rows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chatapp", "0004_lifetimes_by_themselves"),
    ]

    operations = [
        migrations.AddField(
            model_name="assistant",
            name="revision",
            field=models.PositiveBigIntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="Grows with each edit of it or of its documents.",
            ),
        ),
        migrations.AddField(
            model_name="conversation",
            name="version",
            field=models.PositiveBigIntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="Grows with each change of what its next message follows.",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("status", "streaming")), fields=["conversation"], name="message_streaming"
            ),
        ),
    ]
