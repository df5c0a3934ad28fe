"""From recorded tables to rows, the picture and the command."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.warmcache.replay.traffic import MODEL, rates, write
from warmcache.core.statistics import Bootstrap, Interval, interval, percentile
from warmcache.replay.charts import chart
from warmcache.replay.first_hours import first_hours
from warmcache.replay.informed import Informed
from warmcache.replay.people import Habits
from warmcache.replay.study import Block, Cell, Study
from warmcache.replay.tables import losses, sweep, table, verdicts
from warmcache.replay.trace_files import TraceMissing
from warmcache.replay.traces import BURSTGPT, CLAUDE_CODE, MOONCAKE, read_trace
from warmcache.upstream.prices import rates_for

POLICIES = ("never", "always-on-typing", "on-open", "keepalive-3", "1h", "ours", "oracle")
REAL_TRACES = Path(__file__).parents[4] / "shared" / "data" / "traces"


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Eight agent sessions: a person, a tool after 20 s, the person again after ten minutes."""
    rows: list[dict[str, object]] = []
    for number in range(8):
        size, known = 20_000 + 1_000 * number, {"conversation_id": f"c{number}", "static_prefix_tokens": 12_000}
        turns = [("user", 0, size, 0), ("tool", 20, size + 2_000, size), ("user", 620, size + 4_000, size + 1_960)]
        for turn, (trigger, at, tokens, common) in enumerate(turns):
            rows.append(
                known
                | {
                    "turn": turn,
                    "trigger": trigger,
                    "arrival_s": at,
                    "reply_end_s": at + 8,
                    "input_tokens": tokens,
                    "output_tokens": 400,
                    "shared_prefix_tokens": common,
                    "user_tokens_est": 40 if trigger == "user" else "",
                }
            )
    write(tmp_path / "claude_code.csv.gz", rows)
    return tmp_path


def study(directory: Path, **known) -> Block:
    cell = Cell(source=CLAUDE_CODE, model=MODEL, profile="auto", **known)
    return Study(directory, cell, policies=POLICIES, values=(0.01, 0.05), rates=rates).run()


def test_a_trace_is_read_as_its_columns_say(traces):
    trace = read_trace(traces, CLAUDE_CODE)

    first = trace.conversations[0]
    assert (trace.requests, len(trace.conversations), trace.has_common_clock) == (24, 8, False)
    assert [request.is_person for request in first.requests] == [True, False, True]
    assert [request.asks_tool for request in first.requests] == [True, False, False]
    assert [request.kept_tokens for request in first.requests] == [12_000, 20_400, 22_400]
    assert first.silent_until == 620 + 7200


def test_a_script_is_not_a_person_and_a_cut_history_is_cut(tmp_path):
    known = {"conversation_id": "c", "trigger": "user", "output_tokens": 100, "static_prefix_tokens": 5_000}
    rows = [
        known | {"arrival_s": 0, "input_tokens": 50_000},
        known | {"arrival_s": 9, "input_tokens": 9_000, "shared_prefix_tokens": 5_120, "flags": "auto_suspect"},
    ]
    write(tmp_path / "claude_code.csv.gz", rows)

    talk = read_trace(tmp_path, CLAUDE_CODE).conversations[0]

    assert [request.is_person for request in talk.requests] == [True, False]
    assert talk.requests[1].kept_tokens == 5_120
    assert talk.requests[0].reply_end == pytest.approx(1 + 100 / 60)


def test_trimmed_chats_are_rebuilt_as_an_append_only_chat(tmp_path):
    known = {"conversation_id": "c", "trigger": "user", "t_s": 50, "obs_end_s": 9_000, "output_tokens": 100}
    rows = [
        known | {"arrival_s": 0, "input_tokens": 30, "user_tokens_est": 30},
        known | {"arrival_s": 60, "input_tokens": 20, "user_tokens_est": 20, "flags": "context_shrunk"},
    ]
    write(tmp_path / f"{BURSTGPT}.csv.gz", rows)

    talk = read_trace(tmp_path, BURSTGPT, system_tokens=4_000).conversations[0]

    assert [request.prompt_tokens for request in talk.requests] == [4_030, 4_150]
    assert talk.requests[1].kept_tokens == 4_130
    assert (talk.requests[1].at, talk.silent_until) == (110, 9_050)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(TraceMissing, match="mooncake_conversation.csv.gz"):
        read_trace(tmp_path, MOONCAKE)


def test_who_is_taught_the_rates_beforehand_gains_more_and_the_verdict_says_how_much(traces):
    cell = Cell(source=CLAUDE_CODE, model=MODEL, profile="auto")

    block = Study(traces, cell, policies=("never", "ours", "informed", "oracle"), values=(0.01,), rates=rates).run()
    told = list(verdicts([block]))[-1]

    ours, informed, oracle = (block.row(name, 0.01) for name in ("ours", "informed", "oracle"))
    assert ours.net_usd.value < informed.net_usd.value < oracle.net_usd.value
    assert ours.share_of_informed == pytest.approx(ours.net_usd.value / informed.net_usd.value)
    assert f"missed {ours.share_of_informed:.0%} of informed" in told


def test_informed_is_taught_in_the_folder_that_is_named(traces, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    cell = Cell(source=CLAUDE_CODE, model=MODEL, profile="auto")

    with pytest.raises(TraceMissing, match=elsewhere.name):
        Study(traces, cell, policies=("never", "informed"), values=(0.01,), rates=rates, teach=elsewhere)


def test_in_its_first_hour_each_session_is_a_label_of_its_own(traces):
    whole, first = study(traces), study(traces, first_hours=True)

    labels = first_hours(read_trace(traces, CLAUDE_CODE))
    assert [len(label.conversations) for label in labels] == [1] * 8
    assert {label.conversations[0].silent_until for label in labels} == {3600.0}
    assert (first.conversations, first.requests) == (whole.conversations, whole.requests)
    assert first.row("ours", 0.01) != whole.row("ours", 0.01)
    assert "first hours of new labels" in "\n".join(table([first]))


def test_traffic_with_a_clock_is_cut_into_hours_with_what_begins_in_them(tmp_path):
    known = {"trigger": "user", "output_tokens": 100, "input_tokens": 5_000, "static_prefix_tokens": 4_000}
    known |= {"shared_prefix_tokens": 4_000, "obs_end_s": 9_000}
    rows = [
        known | {"conversation_id": "a", "t_s": 100, "arrival_s": 0},
        known | {"conversation_id": "a", "t_s": 4_000, "arrival_s": 3_900},
        known | {"conversation_id": "b", "t_s": 3_500, "arrival_s": 0},
        known | {"conversation_id": "c", "t_s": 7_300, "arrival_s": 0},
    ]
    write(tmp_path / f"{MOONCAKE}.csv.gz", rows)

    labels = first_hours(read_trace(tmp_path, MOONCAKE))

    assert [[talk.conversation_id for talk in label.conversations] for label in labels] == [["a", "b"], ["c"]]
    assert [len(talk.requests) for talk in labels[0].conversations] == [1, 1]
    assert [talk.silent_until for label in labels for talk in label.conversations] == [3_600, 3_600, 10_800]


def test_the_verdict_says_how_far_the_best_simpler_policy_is_behind(traces):
    block = study(traces)

    told = list(verdicts([block]))[-1]

    rivals = [block.row(name, 0.05) for name in ("never", "always-on-typing", "on-open", "keepalive-3", "1h")]
    closest, ours = max(rivals, key=lambda row: row.net_usd.value), block.row("ours", 0.05)
    behind = closest.behind_ours_usd
    assert behind.value == pytest.approx(ours.net_usd.value - closest.net_usd.value)
    assert behind.low <= behind.value <= behind.high
    assert f"{closest.policy} ${behind.value:.2f} [" in told


def test_informed_tells_silences_apart_by_the_size_of_the_prompt():
    informed = Informed(model=MODEL, rates=rates, value_of_second_usd=Decimal("0.05"), has_common_clock=True)
    for _ in range(30):
        informed.saw_return(asked_tool=False, seconds=15.0, tokens=2500)
        informed.saw_return(asked_tool=False, seconds=1500.0, tokens=60_000)

    small, large, unseen = (informed._believed(tokens).after_reply.survival(60) for tokens in (2500, 60_000, 500_000))

    assert small < unseen < large


def test_a_study_gives_the_same_numbers_again_and_others_for_another_seed(traces):
    first = study(traces)

    assert study(traces) == first
    assert study(traces, habits=Habits(seed=2)).rows != first.rows


def test_rows_are_told_against_never_and_the_oracle_is_above_all(traces):
    block = study(traces)

    for value in (0.01, 0.05):
        never, oracle = block.row("never", value), block.row("oracle", value)
        assert never is not None
        assert oracle is not None
        assert (never.saved_seconds.value, never.extra_usd.value, never.warm_ups) == (0.0, 0.0, 0)
        for row in (row for row in block.rows if row.value_of_second_usd == value):
            net = value * row.saved_seconds.value - row.extra_usd.value
            assert row.net_usd.value == pytest.approx(net)
            assert row.saved_seconds.low <= row.saved_seconds.value <= row.saved_seconds.high
            assert row.net_usd.value <= oracle.net_usd.value + 1e-9
            assert row.sends == 16


def test_few_seconds_at_stake_are_said_to_be_not_measurable(traces):
    block = study(traces)

    text = "\n".join([*table([block]), *verdicts([block]), *sweep([block])])

    assert not block.is_measurable(0.05)
    assert "not measurable" in text
    assert "claude_code" in text


def test_intervals_are_resampled_over_conversations():
    bootstrap = Bootstrap(50, seed=1)

    same, varied = bootstrap.sums([1.0] * 50), bootstrap.sums([float(n) for n in range(50)])

    assert set(same) == {50.0}
    found = interval(1225.0, varied)
    assert found.low < 1225.0 < found.high
    assert bootstrap.sums([2.0 * n for n in range(50)]) == [2 * value for value in varied]


def test_percentiles_are_nearest_ranks():
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 3.0
    assert percentile([1.0], 0.95) == 1.0
    assert percentile([], 0.5) == 0.0


def test_the_picture_is_well_formed_and_names_every_policy(traces):
    drawn = ElementTree.fromstring(chart([study(traces)], 0.05))  # noqa: S314 - our own

    words = {element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert set(POLICIES) <= words


@pytest.fixture
def command(traces, capsys):
    def run(*arguments: str) -> str:
        call_command("warmcache_replay", "--traces", str(traces), "--sources", "claude_code", *arguments)
        return capsys.readouterr().out

    return run


def test_the_command_prints_a_table_and_writes_numbers_and_a_picture(command, tmp_path):
    numbers, picture = tmp_path / "all.json", tmp_path / "all.svg"

    text = command("--models", MODEL, "--profiles", "auto", "--json", str(numbers), "--svg", str(picture))

    assert "keepalive-3" in text
    assert "Sweep over what is assumed" in text
    assert picture.read_text().startswith("<svg")
    blocks = json.loads(numbers.read_text())
    assert blocks[0]["rows"][0]["policy"] == "never"


def test_the_verdicts_are_of_all_of_it_and_of_first_hours_and_name_where_something_simpler_gains_more(command):
    rivals = ("--policies", "never", "keepalive-1", "ours")

    text = command("--verdicts", "--models", MODEL, "--value-of-second", "0.05", *rivals)

    assert "TTFT" not in text
    assert "Sweep" not in text
    lines = [line.strip() for line in text.splitlines() if " behind" in line and MODEL in line]
    assert [line.startswith("first hours") for line in lines] == [False, False, True, True]
    assert "Of 4 cells, a simpler policy has a higher net value in" in text


def test_a_cell_that_is_lost_is_told_with_its_interval(traces):
    block = study(traces)
    ours = block.row("ours", 0.05)
    better = replace(
        block.row("never", 0.05),
        net_usd=replace(ours.net_usd, value=ours.net_usd.value + 1),
        behind_ours_usd=Interval(value=-1.0, low=-1.5, high=-0.5),
    )

    told = list(losses([replace(block, rows=(ours, better))]))

    assert "Of 1 cells, a simpler policy has a higher net value in 1, surely so in 1" in told[1]
    assert told[2].endswith("$0.05: -1.00 [-1.50, -0.50]")
    assert "in 0, surely so in 0" in list(losses([replace(block, rows=(ours, block.row("never", 0.05)))]))[1]


def test_the_command_takes_other_policies_and_prices(command):
    text = command(
        "--models", MODEL, "--profiles", "2024", "--policies", "keepalive-7", "--value-of-second", "1", "--no-sweep"
    )

    assert "keepalive-7" in text
    assert "a second is worth $1" in text
    assert "Sweep" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--traces", "/nowhere"], "There is no claude_code.csv.gz in /nowhere"),
        (["--policies", "sometimes"], "There is no policy 'sometimes'"),
        (["--models", "gpt-0"], "There is no price for gpt-0"),
    ],
)
def test_the_command_says_in_a_sentence_what_is_missing(command, arguments, words):
    with pytest.raises(CommandError, match=words):
        command(*arguments)


needs_real_traces = pytest.mark.skipif(not REAL_TRACES.is_dir(), reason="the recorded traces are not on this machine")


@needs_real_traces
@pytest.mark.parametrize(("source", "every"), [(CLAUDE_CODE, 40), (MOONCAKE, 40), (BURSTGPT, 4)])
def test_on_recorded_traffic_ours_is_never_worse_than_doing_nothing(source, every):
    cell = Cell(source=source, system_tokens=16_000, model=MODEL, profile="auto", every=every)

    block = Study(REAL_TRACES, cell, policies=POLICIES, values=(0.05,), rates=rates_for).run()

    ours, oracle = block.row("ours", 0.05), block.row("oracle", 0.05)
    assert ours is not None
    assert oracle is not None
    assert Decimal(0) < ours.net_usd.value <= oracle.net_usd.value
