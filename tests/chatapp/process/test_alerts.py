"""The rules for Prometheus that are shipped name only metrics, reasons and outcomes that exist."""

import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from warmcache.core.outcomes import Outcome
from warmcache.core.reasons import Reason
from warmcache.reports import conditions

RULES = Path(__file__).parents[3] / "deploy" / "alerts.yaml"
EXPRESSIONS = "\n".join(re.findall(r"expr:(.*?)\n        for:", RULES.read_text(), re.DOTALL))


@pytest.mark.django_db
@pytest.mark.any_database
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


def test_mails_are_sent_for_the_same_conditions():
    text = RULES.read_text()
    rules = {rule.split("\n")[0].strip(): rule for rule in text.split("- alert:")[1:]}

    assert list(rules) == [condition.name for condition in conditions.CONDITIONS]
    for condition in conditions.CONDITIONS:
        rule = rules[condition.name]
        assert f'summary: "{condition.words}"' in rule
        assert f'description: "{condition.advice}"' in rule
        (count, unit) = re.search(r"for: (\d+)([mh])", rule).groups()
        assert condition.lasts == timedelta(minutes=int(count) * (60 if unit == "h" else 1)), condition.name
    slow, wasted = rules["FirstTokenSlow"], rules["WarmUpsWasted"]
    assert f"> {conditions.SLOW_SECONDS}\n" in slow
    assert f"> {conditions.ENOUGH_REPLIES}\n" in slow
    assert f"> {conditions.WASTED_SHARE}\n" in wasted
    assert f"> {conditions.ENOUGH_WARM_UPS}\n" in wasted
    assert f"< {conditions.BUDGET_SHARE_LEFT} *" in rules["BudgetNearlySpent"]
    for reasons, name in ((conditions.PAUSES, "BreakerOpen"), (conditions.BUDGETS, "BudgetSpent")):
        assert set(re.search(r'reason=~"([^"]+)"', rules[name])[1].split("|")) == set(reasons)
    assert set(re.search(r'outcome=~"([^"]+)"', wasted)[1].split("|")) == set(conditions.WASTED)


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: it comes with the Debian package `prometheus`.")
    return found


def test_prometheus_takes_the_rules():
    checked = subprocess.run([promtool(), "check", "rules", str(RULES)], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr


def test_prometheus_sounds_each_alert_when_it_should(tmp_path):
    """The counters of a bad hour and of a quiet one, minute by minute, and what is firing at the end."""
    bad = {
        'warmcache_reply_ttft_seconds_bucket{le="1"}': "0+1x120",
        'warmcache_reply_ttft_seconds_bucket{le="10"}': "0+2x120",
        'warmcache_reply_ttft_seconds_bucket{le="20"}': "0+4x120",
        'warmcache_reply_ttft_seconds_bucket{le="+Inf"}': "0+4x120",
        "warmcache_reply_ttft_seconds_count": "0+4x120",
        'warmcache_warm_ups_total{outcome="unused"}': "0+3x120",
        'warmcache_warm_ups_total{outcome="hit"}': "0+1x120",
        'warmcache_skips_total{reason="breaker_open"}': "0+1x120",
        'warmcache_skips_total{reason="budget"}': "0+1x120",
        "warmcache_policy_daily_budget_usd": "50x120",
        "warmcache_policy_daily_budget_left_usd": "9x120",
        "warmcache_redis_lost": "1x120",
        "warmcache_lost_writes_total": "0+1x120",
        "warmcache_database_up": "1x120",
    }
    quiet = {
        'warmcache_reply_ttft_seconds_bucket{le="1"}': "0+4x120",
        'warmcache_reply_ttft_seconds_bucket{le="+Inf"}': "0+4x120",
        "warmcache_reply_ttft_seconds_count": "0+4x120",
        'warmcache_warm_ups_total{outcome="unused"}': "0+1x120",
        'warmcache_warm_ups_total{outcome="hit"}': "0+3x120",
        'warmcache_skips_total{reason="already_warm"}': "0+9x120",
        "warmcache_policy_daily_budget_usd": "50x120",
        "warmcache_policy_daily_budget_left_usd": "49x120",
        "warmcache_redis_lost": "0x120",
        "warmcache_lost_writes_total": "0x120",
        "warmcache_database_up": "1x120",
    }
    file = tmp_path / "test.yaml"
    groups = [
        *(_told(bad, condition.name, fires=True) for condition in conditions.CONDITIONS),
        *(_told(quiet, condition.name, fires=False) for condition in conditions.CONDITIONS),
    ]
    file.write_text(f"rule_files: ['{RULES}']\nevaluation_interval: 1m\ntests:\n" + "".join(groups))

    checked = subprocess.run([promtool(), "test", "rules", str(file)], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def _told(series: dict[str, str], name: str, *, fires: bool) -> str:
    told = "".join(f"      - series: '{metric}'\n        values: '{values}'\n" for metric, values in series.items())
    condition = next(each for each in conditions.CONDITIONS if each.name == name)
    severity = "critical" if name in ("RedisAway", "LedgerBehind") else "warning"
    alert = (
        f"          - exp_labels: {{severity: {severity}}}\n            exp_annotations:\n"
        f'              summary: "{condition.words}"\n              description: "{condition.advice}"\n'
    )
    firing = f"        exp_alerts:\n{alert}" if fires else "        exp_alerts: []\n"
    rule = f"    alert_rule_test:\n      - eval_time: 110m\n        alertname: {name}\n{firing}"
    return f"  - interval: 1m\n    input_series:\n{told}{rule}"
