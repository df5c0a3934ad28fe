"""`python -m rows.make_tables`, once per database."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rows.settings")
django.setup()

from django.core.management import call_command  # noqa: E402

call_command("migrate", run_syncdb=True, verbosity=0)
