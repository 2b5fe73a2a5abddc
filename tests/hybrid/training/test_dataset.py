"""Clips from folders, split by recording group, and augmented the way vectors demand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid.errors import BadInputError
from hybrid.model import load_config
from hybrid.training.dataset import Clip, ClipDataset, find_clips, split_by_group

CONFIG = load_config("tiny")


@given(
    groups=st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 4), st.integers(1, 6)), min_size=1, max_size=12),
    share=st.floats(0, 0.9),
)
def test_no_group_is_on_both_sides_and_no_class_loses_all_its_groups(groups, share):
    clips = [Clip(Path(f"{g}_{i}"), label, f"{label}{g}") for label, g, count in groups for i in range(count)]
    train, held = split_by_group(clips, share)
    assert sorted((*train, *held), key=repr) == sorted(clips, key=repr)
    assert not {(c.label, c.group) for c in train} & {(c.label, c.group) for c in held}
    assert {c.label for c in train} == {c.label for c in clips}
    assert split_by_group(clips, share) == (train, held)


def tree(root, clip):
    for label in CONFIG.classes:
        (root / label).mkdir()
        shutil.copy(clip, root / label / f"{label}_11_31.avi")
    return root


def test_the_group_is_the_file_name_without_its_last_number(tmp_path, demo_clips):
    clips = find_clips(tree(tmp_path, demo_clips[0]), CONFIG.classes)
    assert [clip.label for clip in clips] == list(CONFIG.classes)
    assert [clip.group for clip in clips] == [f"{label}_11" for label in CONFIG.classes]


def test_an_unknown_label_and_an_empty_class_are_named(tmp_path, demo_clips):
    root = tree(tmp_path, demo_clips[0])
    (root / "Dance").mkdir()
    with pytest.raises(BadInputError, match="'Dance' is not in the config's classes"):
        find_clips(root, CONFIG.classes)
    (root / "Dance").rmdir()
    (root / "Walk" / "Walk_11_31.avi").unlink()
    with pytest.raises(BadInputError) as error:
        find_clips(root, CONFIG.classes)
    assert error.value.where.endswith("Walk")


def test_measuring_takes_the_same_views_each_time_and_training_different_ones(demo_clips):
    clips = [Clip(demo_clips[0], "Walk", "g")]
    measured = ClipDataset(clips, CONFIG, train=False)
    for first, second in zip(measured[0][:3], measured[0][:3], strict=True):
        assert torch.equal(first, second)
    drawn = ClipDataset(clips, CONFIG, train=True)
    torch.manual_seed(0)
    assert any(not torch.equal(drawn[0][1], drawn[0][1]) for _ in range(3))
    shapes = [tuple(tensor.shape) for tensor in drawn[0][:3]]
    side, views, steps = CONFIG.input.crop, CONFIG.input.views, CONFIG.input.steps
    assert shapes == [(views, 3, side, side), (views, steps, 2, side, side), (views, steps, 3, side, side)]


def test_a_clip_shorter_than_one_gop_is_refused(tmp_path, demo_clips):
    config = CONFIG.model_copy(update={"input": CONFIG.input.model_copy(update={"steps": 60})})
    with pytest.raises(BadInputError, match="no GOP has an I-frame and 60 P-frames"):
        ClipDataset([Clip(demo_clips[0], "Walk", "g")], config, train=False)
