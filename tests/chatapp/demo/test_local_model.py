"""The demo's local model; the real one runs in `tests/browser/test_local_model.py`."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from chatapp.demo import local_model, local_model_server
from warmcache.core.catalog import facts_for
from warmcache.upstream.child_server import ChildServerError


def test_it_says_what_installs_it(tmp_path):
    program = [sys.executable, "-S", local_model_server.__file__, "a key", local_model.MODEL, str(tmp_path / "log")]

    ended = subprocess.run(program, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "The local model is not installed: `make run-local` installs it.\n"


@pytest.mark.skipif(find_spec("xllamacpp") is not None, reason="the local model is installed here")
def test_a_demo_without_it_ends_with_a_sentence():
    with local_model.LocalModel() as model, pytest.raises(ChildServerError, match=r"^The local model ended at once"):
        model.wait_ready()


def test_its_assistant_fits_into_its_window():
    facts, fields = facts_for(local_model.MODEL), local_model.ASSISTANT.fields

    assert len(fields["system_prompt"]) / facts.chars_per_token < facts.context_tokens / 4
    assert fields["max_output_tokens"] <= facts.max_output_tokens


def test_a_prompt_of_any_length_is_cached_by_it():
    assert facts_for(local_model.MODEL).min_prefix_tokens == 1
