"""From GOPs to the integers of a chip."""

from __future__ import annotations

import numpy as np
import torch

from hybrid.model.config import load_config
from hybrid.model.inputs import input_ports, sizes_of
from hybrid.video import Gop, sample
from hybrid.video.transform import centre_crop, flip, quantise, to_views

CONFIG = load_config("tiny").input


def uniform(dx, dy, size=(240, 320)):
    motion = np.broadcast_to(np.array([dx, dy], np.int16), (11, *size, 2)).copy()
    zeros = np.zeros((11, *size, 3), np.int16)
    return Gop(np.full((*size, 3), 77, np.uint8), motion, zeros, np.zeros(12), 0, True)


def test_vectors_scale_with_the_picture():
    views = to_views([uniform(15, -30)], sizes_of(CONFIG))
    unit = (2 ** (CONFIG.motion_bits - 1) - 1) / CONFIG.motion_range
    scale = CONFIG.resize / 240
    assert views.motion.shape == (1, 11, 2, CONFIG.resize, round(320 * scale))
    assert np.unique(views.motion[:, :, 0]).tolist() == [round(15 * scale * unit)]
    assert np.unique(views.motion[:, :, 1]).tolist() == [round(-30 * scale * unit)]
    assert np.unique(views.iframe).tolist() == [77]


def test_the_middle_alone_is_the_middle_of_the_whole(demo_clips):
    gops = list(sample(demo_clips[0], 2))
    whole = centre_crop(to_views(gops, sizes_of(CONFIG)), 51)
    middle = to_views(gops, sizes_of(CONFIG), 51)
    for name in ("iframe", "motion", "residual"):
        assert np.array_equal(getattr(middle, name), getattr(whole, name)), name


def test_a_flip_mirrors_the_picture_and_negates_horizontal_motion_only():
    views = to_views([uniform(15, -30)], sizes_of(CONFIG))
    mirrored = flip(views)
    assert np.array_equal(mirrored.motion[:, :, 0], -views.motion[:, :, 0, :, ::-1])
    assert np.array_equal(mirrored.motion[:, :, 1], views.motion[:, :, 1, :, ::-1])
    assert np.array_equal(flip(mirrored).motion, views.motion)


def test_values_stay_within_the_ports_of_the_chip(demo_clips):
    views = centre_crop(to_views(sample(demo_clips[0], 3), sizes_of(CONFIG)), CONFIG.crop)
    for port, values in zip(input_ports(CONFIG), (views.motion, views.residual), strict=True):
        assert values.shape[2:] == port.shape
        assert port.interval[0] <= values.min() < 0 < values.max() <= port.interval[1]


def test_quantising_is_symmetric_rounds_and_clips():
    values = torch.tensor([-1000.0, -20.0, -0.07, 0.0, 0.09, 20.0, 1000.0])
    assert quantise(values, 8, 20.0).tolist() == [-127, -127, 0, 0, 1, 127, 127]
