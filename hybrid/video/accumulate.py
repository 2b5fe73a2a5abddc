"""Back-tracing of motion vectors to the I-frame, compiled.

The rule is CoViAR's (Wu et al., CVPR 2018), on integer displacements ``d = dst - src``: for every block
with a vector that is not zero, each pixel p of it takes the trace of pixel p - d in the previous frame,
provided that both lie inside the picture; every other pixel (intra block, zero vector, source outside) keeps
the trace at its own place. With the accumulated motion ``D(p) = p - trace(p)`` this reads
``D_t(p) = d + D_{t-1}(p - d)``: a block becomes a few row copies with a constant added, so that the map of one
frame is made from that of the frame before, without an index map and without a division.

numba, because these loops over blocks and rows are what neither numpy (it would build index arrays as large as
the picture) nor torch (one gather kernel per block) do well; `benchmarks/reader.py` has the ratios.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from hybrid.video.gop import Array

VECTOR = np.dtype(
    [
        ("source", "<i4"), ("w", "u1"), ("h", "u1"), ("src_x", "<i2"), ("src_y", "<i2"), ("dst_x", "<i2"),
        ("dst_y", "<i2"), ("flags", "<u8"), ("motion_x", "<i4"), ("motion_y", "<i4"), ("motion_scale", "<u2"),
    ],
    align=True,
)  # fmt: skip
"""One motion vector as FFmpeg exports it; centres of blocks, in pixels."""


LONGEST_ROW = 512
"""Values of the widest block row: blocks are at most 255 pixels wide, of two values each."""


@numba.njit(cache=True, nogil=True)
def advance(vectors: Any, before: Array, after: Array) -> None:
    """Accumulated motion of one frame from that of the frame before.

    Args:
        vectors: structured array of type `VECTOR`, in the decoder's order.
        before: int16 [H, W, 2], horizontal then vertical, of the previous frame (zeros for the I-frame).
        after: int16 [H, W, 2], written.
    """
    _copy(before, after)
    for i in range(len(vectors)):
        v = vectors[i]
        dx, dy = int(v.dst_x) - int(v.src_x), int(v.dst_y) - int(v.src_y)
        if dx != 0 or dy != 0:
            _shift_block(v, dx, dy, dx, dy, before, after)


@numba.njit(cache=True, nogil=True)
def advance_subpel(vectors: Any, scale: int, before: Array, after: Array) -> None:
    """The same with vectors at their own precision, in units of 1 / `scale` pixel.

    What is traced is the integer rule (the sampling position has to be a pixel); what is summed up along the
    way are the unrounded vectors.

    Args:
        vectors: as for `advance`.
        scale: units per pixel.
        before: int16 [H, W, 2], sums up to the frame before.
        after: int16 [H, W, 2], written.
    """
    _copy(before, after)
    for i in range(len(vectors)):
        v = vectors[i]
        dx, dy = int(v.dst_x) - int(v.src_x), int(v.dst_y) - int(v.src_y)
        mx = -int(v.motion_x) * scale // int(v.motion_scale)
        my = -int(v.motion_y) * scale // int(v.motion_scale)
        if mx != 0 or my != 0:
            _shift_block(v, dx, dy, mx, my, before, after)


@numba.njit(cache=True, nogil=True)
def warp_blocks(vectors: Any, before: Array, after: Array) -> None:
    """The I-frame as one frame sees it, from how the frame before saw it.

    Since ``p - D_t(p) = (p - d) - D_{t-1}(p - d)``, the I-frame warped by the accumulated motion moves along
    with the blocks: no pixel has to be fetched through the map. For raw vectors `before` is the frame before.

    Args:
        vectors: as for `advance`.
        before: uint8 [H, W, 3].
        after: uint8 [H, W, 3], written.
    """
    _copy(before, after)
    height, width = after.shape[:2]
    source, target = before.reshape(-1), after.reshape(-1)
    for i in range(len(vectors)):
        v = vectors[i]
        dx, dy = int(v.dst_x) - int(v.src_x), int(v.dst_y) - int(v.src_y)
        if dx == 0 and dy == 0:
            continue
        x0, x1, y0, y1 = _inside(v, dx, dy, height, width)
        count = 3 * (x1 - x0)
        if count <= 0:
            continue
        for y in range(y0, y1):
            here, there = 3 * (y * width + x0), 3 * ((y - dy) * width + x0 - dx)
            read, write = source[there : there + count], target[here : here + count]
            for k in range(count):
                write[k] = read[k]


@numba.njit(cache=True, nogil=True)
def subtract(frame: Array, warped: Array, residual: Array) -> None:
    """Residual of one frame.

    Args:
        frame: uint8 [H, >= 3 W], rows of RGB as the decoder lays them out.
        warped: uint8 [H, W, 3], from `warp_blocks`.
        residual: int16 [H, W, 3], written.
    """
    for y in range(len(residual)):
        here, there, out = frame[y], warped[y].reshape(-1), residual[y].reshape(-1)
        for k in range(len(out)):
            out[k] = np.int16(here[k]) - np.int16(there[k])


@numba.njit(cache=True, nogil=True)
def _inside(v: Any, dx: int, dy: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Columns and rows of a block for which both p and p - (dx, dy) lie inside the picture: x0, x1, y0, y1."""
    left, top = int(v.dst_x) - int(v.w) // 2, int(v.dst_y) - int(v.h) // 2
    x0, x1 = max(left, 0, dx), min(left + int(v.w), width, width + dx)
    y0, y1 = max(top, 0, dy), min(top + int(v.h), height, height + dy)
    return x0, x1, y0, y1


@numba.njit(cache=True, nogil=True)
def _copy(source: Array, target: Array) -> None:
    """A flat loop, which LLVM turns into memcpy; numba's own array assignment is six times slower."""
    a, b = source.reshape(-1), target.reshape(-1)
    for k in range(len(a)):
        b[k] = a[k]


@numba.njit(cache=True, nogil=True)
def _shift_block(v: Any, dx: int, dy: int, mx: int, my: int, before: Array, after: Array) -> None:
    """Fill one block: the values of `before` at p - (dx, dy), plus (mx, my), where both places are inside."""
    height, width = after.shape[:2]
    x0, x1, y0, y1 = _inside(v, dx, dy, height, width)
    count = 2 * (x1 - x0)
    if count <= 0:
        return
    step = np.empty(LONGEST_ROW, np.int16)
    for k in range(0, count, 2):
        step[k], step[k + 1] = mx, my
    source, target = before.reshape(-1), after.reshape(-1)
    for y in range(y0, y1):
        here, there = 2 * (y * width + x0), 2 * ((y - dy) * width + x0 - dx)
        read, write = source[there : there + count], target[here : here + count]
        for k in range(count):
            write[k] = read[k] + step[k]
