"""Synthetic clips: real MPEG-4, repeatable, and moving the way their names say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hybrid.datasets import folder
from hybrid.errors import BadInputError
from hybrid.training.synthetic import ACTIONS, FRAMES, GOP, frames, write_clips
from hybrid.video import read


def test_clips_are_whole_gops_that_the_reader_traces_and_the_same_for_the_same_seed(tmp_path):
    write_clips(tmp_path / "a", 1, 7)
    write_clips(tmp_path / "b", 1, 7)
    data = folder(tmp_path / "a")
    assert data.classes == tuple(ACTIONS)
    for clip in data.clips:
        assert clip.path.read_bytes() == (tmp_path / "b" / clip.label / clip.path.name).read_bytes()
        assert [gop.steps for gop in read(clip.path)] == [GOP - 1] * (FRAMES // GOP)
    with pytest.raises(BadInputError, match="not empty"):
        write_clips(tmp_path / "a", 1, 7)


def trace(label, of):
    """A number of the pose over two seconds, for several figures."""
    for seed in range(8):
        motion = ACTIONS[label](np.random.default_rng(seed))
        yield np.array([of(motion(t)) for t in np.linspace(0, 2, 61)])


def test_the_poses_move_the_way_their_names_say():
    def hip(pose):
        return math.cos(pose.thighs[0]) + math.cos(pose.thighs[0] - pose.knees[0]) + 4 * pose.lift

    assert all(way[-1] > 3.5 * (walked[-1] + 0.01) / 4 for way, walked in zip(
        trace("Run", lambda p: p.forward), trace("Walk", lambda p: p.forward), strict=True))  # fmt: skip
    assert all(h[0] - h[-1] > 0.3 and (np.diff(h) < 1e-6).all() for h in trace("Sit", hip))
    assert all(h[-1] - h[0] > 0.3 for h in trace("Stand", hip))
    assert all(np.ptp(yaw) > 1.4 for yaw in trace("Turn", lambda p: p.yaw))
    assert all(0.1 <= lift.max() <= 0.3 and lift.min() == 0 for lift in trace("Jump", lambda p: p.lift))


def test_pictures_are_bytes_and_change_over_time():
    rng = np.random.default_rng(3)
    pictures = list(frames(ACTIONS["Walk"](rng), rng))
    assert len(pictures) == FRAMES
    assert {(p.shape, str(p.dtype)) for p in pictures} == {((240, 320, 3), "uint8")}
    assert np.abs(pictures[0].astype(int) - pictures[-1]).mean() > 3
