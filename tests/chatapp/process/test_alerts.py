"""The rules for Prometheus that are shipped name only metrics, reasons and outcomes that exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from warmcache.core.outcomes import Outcome
from warmcache.core.reasons import Reason

RULES = Path(__file__).parents[3] / "deploy" / "alerts.yaml"
EXPRESSIONS = "\n".join(re.findall(r"expr:(.*?)\n        for:", RULES.read_text(), re.DOTALL))


@pytest.mark.django_db
def test_every_metric_of_the_rules_is_told(client, settings):
    settings.METRICS_TOKEN = "a-long-word"

    told = client.get("/metrics", headers={"Authorization": "Bearer a-long-word"}).content.decode()

    known = set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE))
    named = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\bwarmcache_\w+", EXPRESSIONS)}
    assert len(named) >= 5
    assert named <= known


@pytest.mark.parametrize(("label", "kind"), [("reason", Reason), ("outcome", Outcome)])
def test_every_word_of_the_rules_exists(label, kind):
    words = {word for found in re.findall(rf'{label}=~?"([^"]+)"', EXPRESSIONS) for word in found.split("|")}

    assert words
    assert words <= {str(member) for member in kind}


def test_prometheus_takes_the_rules():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: it comes with the Debian package `prometheus`.")

    checked = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr
