"""The array form of the accumulation against the per-block, per-pixel rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.video.accumulate import Trace, paint
from hybrid.video.reader import open_video, vectors_of

FIELDS = [(name, np.int16) for name in ("w", "h", "src_x", "src_y", "dst_x", "dst_y")]


def naive_step(old, vectors, height, width):
    """The published rule, block by block and pixel by pixel, on a map of (x, y)."""
    new = [row[:] for row in old]
    for v in vectors:
        w, h, sx, sy, dx, dy = (int(v[name]) for name in ("w", "h", "src_x", "src_y", "dst_x", "dst_y"))
        if (sx, sy) == (dx, dy):
            continue
        for oy in range(-(h // 2), -(h // 2) + h):
            for ox in range(-(w // 2), -(w // 2) + w):
                if 0 <= dx + ox < width and 0 <= dy + oy < height and 0 <= sx + ox < width and 0 <= sy + oy < height:
                    new[dy + oy][dx + ox] = old[sy + oy][sx + ox]
    return new


def identity(height, width):
    return [[(x, y) for x in range(width)] for y in range(height)]


def as_motion(traced):
    height, width = len(traced), len(traced[0])
    return np.array([[(x - traced[y][x][0], y - traced[y][x][1]) for x in range(width)] for y in range(height)])


@given(data=st.data())
@settings(max_examples=60)
def test_painting_and_tracing_equal_the_naive_rule_on_random_blocks(data):
    height, width = data.draw(st.integers(5, 37)), data.draw(st.integers(5, 37))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    trace, naive = Trace(height, width), identity(height, width)
    for _ in range(3):
        size = 8  # blocks of a frame do not overlap
        cells = [(x, y) for y in range(0, height, size) for x in range(0, width, size) if rng.random() < 0.7]
        vectors = np.zeros(len(cells), FIELDS)
        for i, (x, y) in enumerate(cells):
            dx, dy = x + size // 2, y + size // 2
            vectors[i] = (size, size, dx - rng.integers(-9, 10), dy - rng.integers(-9, 10), dx, dy)
        trace.advance(paint(vectors, height, width))
        naive = naive_step(naive, vectors, height, width)
        assert np.array_equal(trace.motion(), as_motion(naive))


def test_tracing_equals_the_naive_rule_on_a_real_clip(demo_clips):
    with open_video(demo_clips[0]) as (container, stream):
        frames = [frame for _, frame in zip(range(12), container.decode(stream), strict=False)]
    height, width = frames[0].height, frames[0].width
    trace, naive = Trace(height, width), identity(height, width)
    for frame in frames[1:]:
        trace.advance(paint(vectors_of(frame), height, width))
        naive = naive_step(naive, vectors_of(frame), height, width)
    assert np.array_equal(trace.motion(), as_motion(naive))


def test_the_vectors_equal_the_golden_ones(data_dir: Path):
    golden = np.load(data_dir / "golden_mpeg4_vectors.npz")
    names = ("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")
    compared = 0
    with open_video(data_dir / "golden_mpeg4.mp4") as (container, stream):
        for i, frame in zip(range(14), container.decode(stream), strict=False):
            found, expected = vectors_of(frame), golden[f"frame_{i}"]
            assert len(found) == len(expected)
            for column, name in enumerate(names if len(found) else ()):
                assert np.array_equal(found[name], expected[:, column]), (i, name)
            compared += len(found)
    assert compared > 40_000


def test_a_frame_without_vectors_keeps_every_trace():
    trace = Trace(4, 6)
    trace.advance(paint(np.zeros(0, FIELDS), 4, 6))
    assert not trace.motion().any()
