"""Back-tracing of motion vectors to the I-frame, compiled.

The rule is CoViAR's (Wu et al., CVPR 2018), on integer displacements ``d = dst - src``: for every block
with a vector that is not zero, each pixel p of it takes the trace of pixel p - d in the previous frame,
provided that both lie inside the picture; every other pixel (intra block, zero vector, source outside) keeps
the trace at its own place. With the accumulated motion ``D(p) = p - trace(p)`` this reads
``D_t(p) = d + D_{t-1}(p - d)``: a block becomes a few row copies with a constant added, so that the map of one
frame is made from that of the frame before, without an index map and without a division. Since
``p - D_t(p) = (p - d) - D_{t-1}(p - d)``, the I-frame warped by the map moves along with the blocks: no pixel has
to be fetched through it.

numba, because these loops over blocks and rows are what neither numpy (it would build index arrays as large as
the picture) nor torch (one gather kernel per block) do well; `benchmarks/reader.py` has the ratios.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from hybrid.video.gop import Array
from hybrid.video.lanes import LINE, SHIFTED, SUBTRACTED, address, fence, move, shift, subtract

VECTOR = np.dtype(
    [
        ("source", "<i4"), ("w", "u1"), ("h", "u1"), ("src_x", "<i2"), ("src_y", "<i2"), ("dst_x", "<i2"),
        ("dst_y", "<i2"), ("flags", "<u8"), ("motion_x", "<i4"), ("motion_y", "<i4"), ("motion_scale", "<u2"),
    ],
    align=True,
)  # fmt: skip
"""One motion vector as FFmpeg exports it; centres of blocks, in pixels."""


BAND = 16
"""Rows worked on at a time, those of a macroblock: copied, moved and subtracted while they are in the cache."""


@numba.njit(cache=True, nogil=True)
def advance(
    vectors: Any, frame: Array, motion: Array, warped: Array, next_motion: Array, next_warped: Array, residual: Array
) -> None:
    """One frame from the one before it; all arrays in C order.

    Args:
        vectors: structured array of type `VECTOR`, in the decoder's order.
        frame: uint8 [H, >= 3 W], rows of RGB as the decoder lays them out.
        motion: int16 [H, W, 2], accumulated motion, horizontal then vertical, of the frame before (zeros for the
            I-frame).
        warped: uint8 [H, W, 3], the I-frame as the frame before sees it; for raw vectors the frame before.
        next_motion: int16 [H, W, 2], written.
        next_warped: uint8 [H, W, 3], written.
        residual: int16 [H, W, 3], written: `frame` minus `next_warped`.
    """
    height, width = motion.shape[:2]
    band = BAND if _in_bands(vectors) else height
    before, after = motion.reshape(-1), next_motion.reshape(-1)
    i = 0
    for top in range(0, height, band):
        bottom = min(top + band, height)
        start, count = top * width, (bottom - top) * width
        move(motion, 2 * start, next_motion, 2 * start, 2 * count)
        move(warped, 3 * start, next_warped, 3 * start, 3 * count)
        while i < len(vectors) and (bottom == height or vectors[i].dst_y - vectors[i].h // 2 < bottom):
            v = vectors[i]
            dx, dy = int(v.dst_x) - int(v.src_x), int(v.dst_y) - int(v.src_y)
            if dx != 0 or dy != 0:
                block = _block(v, dx, dy, height, width)
                _shift_block(block, width, dx, dy, before, after)
                _move_block(block, width, warped, next_warped)
            i += 1
        _subtract(frame, next_warped, residual, top, bottom)
    fence()


@numba.njit(cache=True, nogil=True)
def advance_subpel(vectors: Any, scale: int, before: Array, after: Array) -> None:
    """Accumulated motion with vectors at their own precision, in units of 1 / `scale` pixel.

    What is traced is the integer rule (the sampling position has to be a pixel); what is summed up along the
    way are the unrounded vectors.

    Args:
        vectors: as for `advance`.
        scale: units per pixel.
        before: int16 [H, W, 2], sums up to the frame before (zeros for the I-frame).
        after: int16 [H, W, 2], written.
    """
    height, width = after.shape[:2]
    move(before, 0, after, 0, before.size)
    sums, moved = before.reshape(-1), after.reshape(-1)
    for i in range(len(vectors)):
        v = vectors[i]
        dx, dy = int(v.dst_x) - int(v.src_x), int(v.dst_y) - int(v.src_y)
        mx = -int(v.motion_x) * scale // int(v.motion_scale)
        my = -int(v.motion_y) * scale // int(v.motion_scale)
        if mx != 0 or my != 0:
            _shift_block(_block(v, dx, dy, height, width), width, mx, my, sums, moved)


@numba.njit(cache=True, nogil=True)
def _in_bands(vectors: Any) -> bool:
    """Whether every block lies within one band, and the bands come from top to bottom."""
    last = 0
    for i in range(len(vectors)):
        top = int(vectors[i].dst_y) - int(vectors[i].h) // 2
        band = top // BAND
        if band < last or (top + int(vectors[i].h) - 1) // BAND != band:
            return False
        last = band
    return True


@numba.njit(cache=True, nogil=True)
def _block(v: Any, dx: int, dy: int, height: int, width: int) -> tuple[int, int, int, int]:
    """The part of a block for which both p and p - (dx, dy) lie inside the picture.

    Returns:
        Number of its first pixel, number of the pixel that this comes from, rows, columns (of either, 0 or less
        where nothing is inside).
    """
    left, top = int(v.dst_x) - int(v.w) // 2, int(v.dst_y) - int(v.h) // 2
    x0, x1 = max(left, 0, dx), min(left + int(v.w), width, width + dx)
    y0, y1 = max(top, 0, dy), min(top + int(v.h), height, height + dy)
    return y0 * width + x0, (y0 - dy) * width + x0 - dx, y1 - y0, x1 - x0


@numba.njit(cache=True, nogil=True)
def _shift_block(block: tuple[int, int, int, int], width: int, mx: int, my: int, before: Array, after: Array) -> None:
    """Fill one block of `after`: what `before` holds where it comes from, plus (mx, my); both are flat."""
    here, there, rows, columns = block
    if columns <= 0:
        return
    whole = columns - columns % SHIFTED
    for _ in range(rows):
        for x in range(0, whole, SHIFTED):
            shift(before, 2 * (there + x), after, 2 * (here + x), mx, my)
        for x in range(whole, columns):
            after[2 * (here + x)] = before[2 * (there + x)] + mx
            after[2 * (here + x) + 1] = before[2 * (there + x) + 1] + my
        here, there = here + width, there + width


@numba.njit(cache=True, nogil=True)
def _move_block(block: tuple[int, int, int, int], width: int, before: Array, after: Array) -> None:
    """Fill one block of `after` with what `before` holds where it comes from."""
    here, there, rows, columns = block
    if columns == 16:  # a size that is known when compiling takes two instructions instead of a call
        for row in range(rows):
            move(before, 3 * (there + row * width), after, 3 * (here + row * width), 3 * 16)
    elif columns > 0:
        for row in range(rows):
            move(before, 3 * (there + row * width), after, 3 * (here + row * width), 3 * columns)


@numba.njit(cache=True, nogil=True)
def _subtract(frame: Array, warped: Array, residual: Array, top: int, bottom: int) -> None:
    """Some rows of the residual: whole cache lines at once, what is before and after them one by one."""
    count, pitch = 3 * residual.shape[1], frame.shape[1]
    first, second, result = frame.reshape(-1), warped.reshape(-1), residual.reshape(-1)
    for y in range(top, bottom):
        a, b = y * pitch, y * count
        begin = min(count, -address(result, b) % LINE // 2)
        end = count - (count - begin) % SUBTRACTED
        for k in range(begin):
            result[b + k] = np.int16(first[a + k]) - np.int16(second[b + k])
        for k in range(begin, end, SUBTRACTED):
            subtract(first, a + k, second, b + k, result, b + k)
        for k in range(end, count):
            result[b + k] = np.int16(first[a + k]) - np.int16(second[b + k])
