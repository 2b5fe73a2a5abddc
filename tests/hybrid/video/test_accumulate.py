"""The array form of the accumulation against the per-block, per-pixel rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.video.accumulate import VECTOR, advance, advance_subpel
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
    return at_cells(rng, cells, size)


def overlapping_vectors(rng, height, width, size):
    """Blocks anywhere, in any order, partly outside, several over one pixel."""
    count = int(rng.integers(0, 12))
    cells = np.stack([rng.integers(-size, width, count), rng.integers(-size, height, count)], axis=-1)
    return at_cells(rng, cells.tolist(), size)


def at_cells(rng, cells, size):
    vectors = np.zeros(len(cells), VECTOR)
    for v, (x, y) in zip(vectors, cells, strict=True):
        v["w"] = v["h"] = size
        v["dst_x"], v["dst_y"] = x + size // 2, y + size // 2
        v["motion_x"], v["motion_y"], v["motion_scale"] = *rng.integers(-19, 20, 2), 2
        v["src_x"], v["src_y"] = v["dst_x"] + int(v["motion_x"] / 2), v["dst_y"] + int(v["motion_y"] / 2)
    return vectors


def step(vectors, frame, motion, warped):
    """`advance` into fresh arrays: motion, warped and residual of the next frame."""
    after, moved = np.empty_like(motion), np.empty_like(warped)
    residual = np.empty(warped.shape, np.int16)
    advance(vectors, frame, motion, warped, after, moved, residual)
    return after, moved, residual


@given(data=st.data(), kind=st.sampled_from([random_vectors, overlapping_vectors]))
@settings(max_examples=100)
def test_motion_reference_and_residual_equal_the_naive_rule_on_random_blocks(data, kind):
    height, width = data.draw(st.integers(5, 53)), data.draw(st.integers(5, 53))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    spare = data.draw(st.sampled_from([0, 0, 7]))
    iframe = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    motion, warped, naive = np.zeros((height, width, 2), np.int16), iframe, identity(height, width)
    for size in data.draw(st.lists(st.sampled_from([1, 4, 8, 16]), min_size=1, max_size=4)):
        vectors = kind(rng, height, width, size)
        frame = rng.integers(0, 256, (height, 3 * width + spare), dtype=np.uint8)
        motion, warped, residual = step(vectors, frame, motion, warped)
        naive = naive_step(naive, vectors, height, width)
        assert np.array_equal(motion, as_motion(naive))
        fetched = np.array([[iframe[y, x] for x, y in row] for row in naive])
        assert np.array_equal(warped, fetched)
        pixels = frame[:, : 3 * width].reshape(height, width, 3).astype(np.int16)
        assert np.array_equal(residual, pixels - fetched)


@given(start=st.integers(0, 40), height=st.integers(1, 5), width=st.integers(1, 60), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_a_residual_may_begin_anywhere_in_memory_and_nothing_beside_it_is_written(start, height, width, seed):
    rng = np.random.default_rng(seed)
    frame, warped = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    size = height * width * 3
    memory = np.full(start + size + 40, 12345, np.int16)
    residual = memory[start : start + size].reshape(height, width, 3)
    still = np.zeros((height, width, 2), np.int16)
    advance(
        np.zeros(0, VECTOR), frame.reshape(height, -1), still, warped, np.empty_like(still), np.empty_like(warped),
        residual,
    )  # fmt: skip
    assert np.array_equal(residual, frame.astype(np.int16) - warped)
    assert (memory[:start] == 12345).all()
    assert (memory[start + size :] == 12345).all()


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


def test_tracing_equals_the_naive_rule_on_a_real_clip(demo_clips):
    with open_video(demo_clips[0]) as (container, stream):
        frames = [frame for _, frame in zip(range(12), container.decode(stream), strict=False)]
    height, width = frames[0].height, frames[0].width
    iframe = frames[0].to_ndarray(format="rgb24")
    motion, warped, naive = np.zeros((height, width, 2), np.int16), iframe, identity(height, width)
    for frame in frames[1:]:
        pixels = frame.to_ndarray(format="rgb24")
        motion, warped, residual = step(vectors_of(frame), pixels.reshape(height, -1), motion, warped)
        naive = naive_step(naive, vectors_of(frame), height, width)
        assert np.array_equal(residual, pixels.astype(np.int16) - warp(iframe, as_motion(naive)))
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
    pixels = np.zeros((4, 6, 3), np.uint8)
    after, _, _ = step(np.zeros(0, VECTOR), pixels.reshape(4, -1), before, pixels)
    assert np.array_equal(after, before)
