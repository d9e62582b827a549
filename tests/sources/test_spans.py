"""Spans of characters become tagged words."""

import pytest

from tests.hub.repositories import parquet
from xstilts.config.origins import HubSplit
from xstilts.errors import InputError
from xstilts.families import tag
from xstilts.sources import hub
from xstilts.sources.spans import tagged

TEXT = 'Weka "saa 4:05" kwa Ng\'ombe, leo.'


def test_marks_at_the_ends_of_words_are_words():
    words, tags = tagged(TEXT, [], "")
    assert words == ["Weka", '"', "saa", "4:05", '"', "kwa", "Ng'ombe", ",", "leo", "."]
    assert set(tags) == {"O"}
    assert tagged("  … ", [], "") == (["…"], ["O"])


def test_a_span_tags_the_words_that_it_overlaps():
    spans = [(22, 27, "NAME"), (6, 14, "TIME")]  # the first begins and ends inside a word
    assert tagged(TEXT, spans, "")[1] == "O O B-TIME I-TIME O O B-NAME O O O".split()


def test_a_second_span_in_a_word_excludes_the_row():
    assert tagged("Ng'ombe", [(0, 2, "A"), (3, 7, "B")], "") == "two spans in one word"


@pytest.mark.parametrize("span", [(-1, 2, "A"), (2, 2, "A"), (3, 9, "A")])
def test_offsets_outside_the_text_name_the_place(span):
    with pytest.raises(InputError, match=r"^f:3: span .* \(A\), but the text has 7 characters"):
        tagged("Ng'ombe", [span], "f:3")


def test_columns_of_spans_are_read_from_a_table(tmp_path):
    slot = {"first": 0, "after": 3, "kind": "a"}
    rows = [{"text": "red house", "slots": [slot]}, {"text": "tree", "slots": []}]
    (tmp_path / "t.parquet").write_bytes(parquet(rows))
    columns = {"words": "text", "tags": "slots.kind"}
    columns |= {"starts": "slots.first", "ends": "slots.after"}
    split = HubSplit(
        source="hub", repository="a/b", revision="a" * 40, split="test", columns=columns
    )
    split.check_family("tag")
    table = hub.read(split, tag.hub_items, [tmp_path / "t.parquet"], "en")
    assert [row["tags"] for row in table.rows] == [["B-a", "O"], ["O"]]
    renamed = split.model_copy(update={"labels": {"a": "DATE"}})
    table = hub.read(renamed, tag.hub_items, [tmp_path / "t.parquet"], "en")
    assert table.rows[0]["tags"] == ["B-DATE", "O"]
    unknown = split.model_copy(update={"labels": {"b": "DATE"}})
    with pytest.raises(InputError, match="row 1: unknown label 'a'; valid: b"):
        hub.read(unknown, tag.hub_items, [tmp_path / "t.parquet"], "en")
    alone = split.model_copy(update={"columns": {"words": "text", "tags": "t", "ends": "e"}})
    with pytest.raises(ValueError, match="`ends` and `starts` go together"):
        alone.check_family("tag")


@pytest.mark.parametrize("label", ["O", "B-PER", "I-PER"])
def test_a_tag_is_no_label_of_a_span(label):
    with pytest.raises(InputError, match=f"x: span 0 to 3 has the tag '{label}'; expected a type"):
        tagged("one two", [(0, 3, label)], "x")
