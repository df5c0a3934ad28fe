"""`ADMIN_PATH` moves the admin, and with it what depends on its place: its policy, and the size of its forms."""

import json
import subprocess
import sys

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ROOT, clean_environment

PROGRAM = """
import json, os, sys
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "chatapp.settings"
django.setup()
from django.conf import settings
from django.test import Client
from django.urls import reverse
settings.ALLOWED_HOSTS = ["testserver"]
answers = {path: Client().get(path) for path in ("/admin/", "/back/office/", "/back/office/login/", "/accounts/login/")}
json.dump({
    "index": reverse("admin:index"),
    "status": {path: answer.status_code for path, answer in answers.items()},
    "leads to": answers["/back/office/"].headers["Location"],
    "trusted types": ["trusted-types" in answer.headers["Content-Security-Policy"] for answer in answers.values()],
}, sys.stdout)
"""


def test_the_admin_is_where_the_operator_wants_it_and_nowhere_else(tmp_path):
    environment = clean_environment(ADMIN_PATH="/back/office/", DATABASE_URL=f"sqlite:///{tmp_path}/none.sqlite3")

    command = [sys.executable, "-c", PROGRAM]
    said = subprocess.check_output(command, cwd=ROOT, env=environment, timeout=PATIENCE_SECONDS)

    told = json.loads(said)

    assert told["index"] == "/back/office/"
    assert told["status"] == {"/admin/": 404, "/back/office/": 302, "/back/office/login/": 200, "/accounts/login/": 200}
    assert told["leads to"] == "/back/office/login/?next=/back/office/"
    assert told["trusted types"] == [True, False, False, True]
