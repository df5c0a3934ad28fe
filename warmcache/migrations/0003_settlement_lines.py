"""Layers become settlement lines of their own; 0004 drops them. What was known of old rows moves along; their bill was not split."""

from datetime import timedelta
from typing import Any

from django.db import migrations, models


def move_layers_into_lines(apps: Any, schema_editor: Any) -> None:
    alias = schema_editor.connection.alias
    warm_ups = apps.get_model("warmcache", "WarmUp").objects.using(alias).filter(lines=None).exclude(layers=[])
    lines = apps.get_model("warmcache", "WarmUpLine").objects.using(alias)
    for warm_up in warm_ups.iterator(chunk_size=500):
        lines.bulk_create(_lines(apps.get_model("warmcache", "WarmUpLine"), warm_up))


def _lines(line: Any, warm_up: Any) -> list[Any]:
    """The whole bill stands with the deepest layer, so that the lines still add up to it."""
    deepest = len(warm_up.layers) - 1
    return [
        line(
            warm_up=warm_up,
            position=position,
            layer=layer["layer"],
            prefix_hash=layer["prefix_hash"],
            prefix_tokens=layer["prefix_tokens"],
            ttl_seconds=layer["ttl_seconds"],
            written_tokens=warm_up.cache_write_tokens if position == deepest else 0,
            read_tokens=warm_up.cache_read_tokens if position == deepest else 0,
            cost_usd=warm_up.cost_usd if position == deepest or warm_up.cost_usd is None else 0,
            estimated_expires_at=warm_up.started_at + timedelta(seconds=layer["ttl_seconds"]),
            outcome=warm_up.outcome,
            settled_at=warm_up.settled_at,
        )
        for position, layer in enumerate(warm_up.layers)
    ]


class Migration(migrations.Migration):
    dependencies = [
        ("warmcache", "0002_worth_and_settlement"),
    ]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="place",
            field=models.CharField(
                blank=True,
                db_index=True,
                default="",
                help_text="Which conversation, in the host's own words.",
                max_length=80,
            ),
        ),
        migrations.AddField(
            model_name="warmup",
            name="place",
            field=models.CharField(
                blank=True,
                db_index=True,
                default="",
                help_text="Which conversation, in the host's own words.",
                max_length=80,
            ),
        ),
        migrations.AddField(
            model_name="warmupline",
            name="read_tokens",
            field=models.PositiveIntegerField(default=0, help_text="Of this layer alone, as billed."),
        ),
        migrations.AlterField(
            model_name="warmup",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "waiting"),
                    ("hit", "hit: a request read it"),
                    ("joined", "joined: a request waited for it"),
                    ("raced", "raced: a request went before it was done"),
                    ("unused", "unused: no request came in time"),
                    ("cancelled", "cancelled"),
                    ("diverged", "diverged: the request had other bytes"),
                    ("evicted", "evicted: same bytes, in time, nothing read"),
                    ("failed", "failed"),
                ],
                db_index=True,
                default="",
                help_text="The best of the lines that it wrote; where it only renewed, that of the deepest.",
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="warmupline",
            name="prefix_tokens",
            field=models.PositiveIntegerField(
                default=0, help_text="Up to its end: estimated before the call, as billed after it."
            ),
        ),
        migrations.AlterField(
            model_name="warmupline",
            name="written_tokens",
            field=models.PositiveIntegerField(default=0, help_text="As billed; 0 where it was only renewed."),
        ),
        migrations.RunPython(move_layers_into_lines, migrations.RunPython.noop),
    ]
