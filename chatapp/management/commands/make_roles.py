"""`manage.py make_roles`: makes the groups of the staff, or gives them back their permissions."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chatapp.accounts.roles import make_roles


class Command(BaseCommand):
    """Members stay. A person needs `is_staff` as well."""

    help = "Make the groups Operator, Assistant editor and Support, each with exactly its permissions."

    def handle(self, **options: Any) -> None:
        try:
            names = make_roles()
        except LookupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Groups: {', '.join(names)}. Put people of the staff into them at /admin/chatapp/user/.")
