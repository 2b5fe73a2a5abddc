"""Clips prepared, drawn and augmented the way vectors demand."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from hybrid.datasets import LabelledClip
from hybrid.errors import BadInputError
from hybrid.model import load_config
from hybrid.training.dataset import ClipDataset, EpochSampler, load_views

CONFIG = load_config("tiny")


@pytest.fixture
def clips(demo_clips):
    return [LabelledClip(path, label, label, "all") for path, label in zip(demo_clips, ("Run", "Sit"), strict=True)]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first[:3], second[:3], strict=True))


def test_measuring_takes_the_same_views_each_time_and_training_other_ones_each_epoch(clips):
    measured = ClipDataset(clips, CONFIG)
    assert same(measured[0], measured[0])
    drawn = ClipDataset(clips, CONFIG, seed=0)
    assert same(drawn[1, 0], drawn[1, 0])
    assert not same(drawn[1, 0], drawn[2, 0])
    assert not same(drawn[1, 0], ClipDataset(clips, CONFIG, seed=1)[1, 0])
    shapes = [tuple(tensor.shape) for tensor in drawn[0, 0][:3]]
    side, views, steps = CONFIG.input.crop, CONFIG.input.views, CONFIG.input.steps
    assert shapes == [(views, 3, side, side), (views, steps, 2, side, side), (views, steps, 3, side, side)]


def test_an_epoch_is_the_same_whoever_loads_it_and_has_every_clip_once(clips):
    dataset = ClipDataset(clips, CONFIG, seed=3)
    epochs = []
    for workers in (0, 1):
        sampler = EpochSampler(len(clips), 3, 1)
        sampler.set_epoch(5)
        epochs.append(list(DataLoader(dataset, 1, sampler=sampler, num_workers=workers)))
        assert sorted(int(batch[3]) for batch in epochs[-1]) == [1, 2]
    assert all(same(a, b) for a, b in zip(*epochs, strict=True))
    orders = set()
    for epoch in range(8):
        sampler.set_epoch(epoch)
        orders.add(tuple(number for _, number in sampler))
    assert len(orders) == 2


def test_copies_that_start_later_show_the_same_clip_with_other_gops(clips):
    late = load_views(clips[0].path, CONFIG.input, start=6)
    first = load_views(clips[0].path, CONFIG.input)
    assert len(late.iframe) in (len(first.iframe), len(first.iframe) - 1)
    assert late.motion.shape[1:] == first.motion.shape[1:]
    assert not (late.iframe[0] == first.iframe[0]).all()
    more = CONFIG.training.model_copy(update={"later_starts": True})
    dataset = ClipDataset(clips[:1], CONFIG.model_copy(update={"training": more}), seed=0)
    assert any(not same(dataset[epoch, 0], ClipDataset(clips[:1], CONFIG, seed=0)[epoch, 0]) for epoch in range(3))


def test_a_clip_shorter_than_one_gop_is_refused(clips):
    config = CONFIG.model_copy(update={"input": CONFIG.input.model_copy(update={"steps": 60})})
    with pytest.raises(BadInputError, match="no GOP has an I-frame and 60 P-frames"):
        ClipDataset(clips[:1], config)
