"""Splits: whole recording groups, official parts, folds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.datasets.records import DataSet, LabelledClip
from hybrid.errors import BadInputError
from hybrid.training.splits import check_labels, folds_by_group, split, split_by_group

GROUPS = st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 4), st.integers(1, 6)), min_size=1, max_size=12)


def clips_of(groups):
    return [
        LabelledClip(Path(f"{label}{g}_{i}_{n}"), label, f"{label}{g}", "all")
        for n, (label, g, count) in enumerate(groups)
        for i in range(count)
    ]


@given(groups=GROUPS, share=st.floats(0, 0.9))
def test_no_group_is_on_both_sides_and_no_class_loses_all_its_groups(groups, share):
    clips = clips_of(groups)
    train, held = split_by_group(clips, share)
    assert sorted((*train, *held), key=repr) == sorted(clips, key=repr)
    assert not {(c.label, c.group) for c in train} & {(c.label, c.group) for c in held}
    assert {c.label for c in train} == {c.label for c in clips}
    assert split_by_group(clips, share) == (train, held)


@given(groups=GROUPS, count=st.integers(2, 3))
def test_folds_keep_groups_whole_and_have_every_class(groups, count):
    clips = clips_of(groups)
    per_class = Counter(label for label, _ in {(c.label, c.group) for c in clips})
    if min(per_class.values()) < count:
        with pytest.raises(BadInputError, match="recording groups"):
            folds_by_group(clips, count)
        return
    folds = folds_by_group(clips, count)
    assert sorted((c for fold in folds for c in fold), key=repr) == sorted(clips, key=repr)
    found = Counter(group for fold in folds for group in {(c.label, c.group) for c in fold})
    assert set(found.values()) == {1}
    assert all({c.label for c in fold} == set(per_class) for fold in folds)


def data_set(*parts):
    clips = tuple(LabelledClip(Path(f"{part}_{i}"), "A", f"g{i}", part) for i, part in enumerate(parts))
    return DataSet("small", ("A",), clips, ())


def test_an_official_test_part_is_held_out_before_a_validation_part_and_before_groups():
    for parts, expected in (
        (("train", "test", "validation"), {"test"}),
        (("train", "validation", "train"), {"validation"}),
        (("all", "all", "all", "all"), {"all"}),
    ):
        train, held = split(data_set(*parts), 0.5)
        assert {clip.split for clip in held} == expected
        assert not {clip.path for clip in train} & {clip.path for clip in held}


@pytest.mark.parametrize(("classes", "what"), [(("B",), "'A' is not in the config"), (("A", "B"), "no clips of 'B'")])
def test_classes_that_one_side_does_not_know_are_named(classes, what):
    with pytest.raises(BadInputError, match=what):
        check_labels(data_set("all"), classes)
