"""The array form of the accumulation against the per-block, per-pixel rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.video.accumulate import VECTOR, advance, advance_subpel, subtract, warp_blocks
from hybrid.video.builder import vectors_of
from hybrid.video.gop import warp
from hybrid.video.reader import open_video


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


def random_vectors(rng, height, width, size):
    """One vector for most cells of a grid of blocks, half-pel, pointing anywhere, outside included."""
    cells = [(x, y) for y in range(0, height, size) for x in range(0, width, size) if rng.random() < 0.7]
    vectors = np.zeros(len(cells), VECTOR)
    for v, (x, y) in zip(vectors, cells, strict=True):
        v["w"] = v["h"] = size
        v["dst_x"], v["dst_y"] = x + size // 2, y + size // 2
        v["motion_x"], v["motion_y"], v["motion_scale"] = *rng.integers(-19, 20, 2), 2
        v["src_x"], v["src_y"] = v["dst_x"] + int(v["motion_x"] / 2), v["dst_y"] + int(v["motion_y"] / 2)
    return vectors


@given(data=st.data())
@settings(max_examples=80)
def test_accumulating_equals_the_naive_rule_on_random_blocks(data):
    height, width = data.draw(st.integers(5, 37)), data.draw(st.integers(5, 37))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    motion, naive = np.zeros((height, width, 2), np.int16), identity(height, width)
    for size in data.draw(st.lists(st.sampled_from([1, 4, 8, 16]), min_size=1, max_size=4)):
        vectors, after = random_vectors(rng, height, width, size), np.empty_like(motion)
        advance(vectors, motion, after)
        motion, naive = after, naive_step(naive, vectors, height, width)
        assert np.array_equal(motion, as_motion(naive))


@given(data=st.data())
@settings(max_examples=40)
def test_subpel_sums_follow_the_integer_trace_and_keep_the_fraction(data):
    height, width = data.draw(st.integers(9, 30)), data.draw(st.integers(9, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    fine, expected = np.zeros((height, width, 2), np.int16), np.zeros((height, width, 2))
    for _ in range(3):
        vectors, after = random_vectors(rng, height, width, 8), np.empty_like(fine)
        advance_subpel(vectors, 4, fine, after)
        fine, old, expected = after, expected, expected.copy()
        for v in vectors:
            dx, dy = int(v["dst_x"]) - int(v["src_x"]), int(v["dst_y"]) - int(v["src_y"])
            for y in range(v["dst_y"] - 4, v["dst_y"] + 4):
                for x in range(v["dst_x"] - 4, v["dst_x"] + 4):
                    if all(0 <= a < width and 0 <= b < height for a, b in ((x, y), (x - dx, y - dy))):
                        expected[y, x] = old[y - dy, x - dx] - [v["motion_x"] / 2, v["motion_y"] / 2]
        assert np.array_equal(fine / 4, expected)


@given(data=st.data())
@settings(max_examples=60)
def test_moving_blocks_of_the_reference_equals_fetching_it_through_the_map(data):
    height, width = data.draw(st.integers(5, 37)), data.draw(st.integers(5, 37))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    iframe = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    motion, warped = np.zeros((height, width, 2), np.int16), iframe
    for size in data.draw(st.lists(st.sampled_from([1, 4, 8, 16]), min_size=1, max_size=4)):
        vectors = random_vectors(rng, height, width, size)
        after, moved = np.empty_like(motion), np.empty_like(warped)
        advance(vectors, motion, after)
        warp_blocks(vectors, warped, moved)
        motion, warped = after, moved
        assert np.array_equal(warped, warp(iframe, motion))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_the_residual_is_the_frame_minus_the_warped_reference(seed):
    rng = np.random.default_rng(seed)
    height, width, spare = rng.integers(3, 30, 3)
    frame = rng.integers(0, 256, (height, 3 * width + spare), dtype=np.uint8)
    warped = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    residual = np.empty((height, width, 3), np.int16)
    subtract(frame, warped, residual)
    pixels = frame[:, : 3 * width].reshape(height, width, 3).astype(np.int16)
    assert np.array_equal(residual, pixels - warped)


def test_tracing_equals_the_naive_rule_on_a_real_clip(demo_clips):
    with open_video(demo_clips[0]) as (container, stream):
        frames = [frame for _, frame in zip(range(12), container.decode(stream), strict=False)]
    height, width = frames[0].height, frames[0].width
    motion, naive = np.zeros((height, width, 2), np.int16), identity(height, width)
    for frame in frames[1:]:
        after = np.empty_like(motion)
        advance(vectors_of(frame), motion, after)
        motion, naive = after, naive_step(naive, vectors_of(frame), height, width)
    assert np.abs(motion).max() > 0
    assert np.array_equal(motion, as_motion(naive))


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
    before = np.arange(4 * 6 * 2, dtype=np.int16).reshape(4, 6, 2)
    after = np.empty_like(before)
    advance(np.zeros(0, VECTOR), before, after)
    assert np.array_equal(after, before)
