"""Documents made of CPython's own language reference."""

import sys

import pytest

from chatapp.demo import content, python_reference


@pytest.fixture(scope="module")
def documents() -> list[tuple[str, str]]:
    return python_reference.documents()


def test_they_fill_the_size_that_a_first_warm_up_may_have(documents):
    size = sum(len(text) for _, text in documents)

    assert 0.9 * python_reference.MAX_CHARACTERS < size <= python_reference.MAX_CHARACTERS


def test_they_are_a_sensible_number_with_titles_that_name_the_version(documents):
    titles = [title for title, _ in documents]

    assert 8 <= len(titles) <= 40
    assert len(set(titles)) == len(titles)
    assert all(title.startswith(f"Python {sys.version_info[0]}.{sys.version_info[1]} ") for title in titles)


def test_no_long_paragraph_is_told_twice(documents):
    paragraphs = [each for _, text in documents for each in text.split("\n\n") if len(each) >= 60]

    assert len(paragraphs) == len(set(paragraphs))


def test_they_are_the_same_each_time(documents):
    assert python_reference.documents() == documents


def test_a_topic_that_this_python_lacks_is_left_out():
    assert python_reference.documents({"if": "The if statement.\n\nIt decides."}) == [
        (
            f"Python {sys.version_info[0]}.{sys.version_info[1]} reference: Conditions and loops",
            "The if statement.\n\nIt decides.",
        )
    ]


def test_text_is_cut_between_paragraphs():
    long = "\n\n".join(f"Paragraph {number} " + "x" * 1000 for number in range(300))

    ((_, text),) = python_reference.documents({"if": long})

    assert len(text) <= python_reference.MAX_CHARACTERS
    assert long.startswith(text + "\n\n")


def test_the_licence_is_named_where_the_model_reads_it():
    spec = next(each for each in content.ASSISTANTS if each.slug == "python-reference")

    assert "PSF License" in spec.fields["system_prompt"]


def test_the_guide_takes_the_project_s_pages_that_are_there(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    (tmp_path / "README.md").write_text("# Warmcache")

    assert content.guide_documents() == [("README.md", "# Warmcache")]
