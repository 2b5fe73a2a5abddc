"""Collect decoded frames into one GOP."""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from hybrid.video.accumulate import VECTOR, advance, advance_subpel, subtract, warp_blocks
from hybrid.video.arena import SHARED, SHARED_VALUES, Arena
from hybrid.video.gop import Array, Gop, turn

SUBPEL_SCALE = 4
"""Units per pixel of sub-pel vectors: quarter pixels hold every precision that FFmpeg exports."""
NO_VECTORS = np.zeros(0, VECTOR)
FIRST_CAPACITY = 11


def vectors_of(frame: Any) -> Array:
    """The motion vectors of a decoded frame as an array of type `VECTOR`; empty where all blocks are intra."""
    side_data = frame.side_data.get("MOTION_VECTORS")
    return NO_VECTORS if side_data is None else np.asarray(side_data.to_ndarray())


class GopBuilder:
    """Takes an I-frame, then P-frames one by one.

    One reformatter serves a whole video: a new one per frame, which is what `frame.to_ndarray` makes, costs more
    than the conversion to RGB itself.
    """

    def __init__(
        self,
        frame: Any,
        index: int,
        reformatter: VideoReformatter,
        arena: Arena,
        *,
        accumulate: bool,
        subpel: bool,
        exact: bool,
    ) -> None:
        self.index, self.exact = index, exact
        self.shape = (int(frame.height), int(frame.width))
        self._quarters = round(int(frame.rotation) / 90) % 4
        self._reformatter, self._accumulate, self._subpel = reformatter, accumulate, subpel
        self._iframe = self._rgb(frame)[:, : 3 * self.shape[1]].reshape(*self.shape, 3).copy()
        # the reference as the newest frame sees it, and a second buffer to write the next one into
        self._warped, self._spare = self._iframe, np.empty_like(self._iframe)
        self._zeros = np.zeros((*self.shape, 2), np.int16)
        self._arena, self._planes = arena, (2, 3, 2) if subpel else (2, 3)
        self._motion, self._residual, self._fine = self._allocate(FIRST_CAPACITY)
        self._times = [_time(frame)]

    @property
    def steps(self) -> int:
        """P-frames so far."""
        return len(self._times) - 1

    def add(self, frame: Any, vectors: Array) -> None:
        """Trace one more frame back by its vectors; it has the shape of the I-frame."""
        t = self.steps
        if t == len(self._motion):
            self._grow()
        before = self._motion[t - 1] if t and self._accumulate else self._zeros
        advance(vectors, before, self._motion[t])
        if self._fine is not None:
            fine_before = self._fine[t - 1] if t and self._accumulate else self._zeros
            advance_subpel(vectors, SUBPEL_SCALE, fine_before, self._fine[t])
        pixels = self._rgb(frame)
        warp_blocks(vectors, self._warped, self._spare)
        subtract(pixels, self._spare, self._residual[t])
        if not self._accumulate:
            self._warped = pixels[:, : 3 * self.shape[1]].reshape(*self.shape, 3).copy()
        elif t == 0:  # the I-frame itself is given to the caller
            self._warped, self._spare = self._spare, np.empty_like(self._iframe)
        else:
            self._warped, self._spare = self._spare, self._warped
        self._times.append(_time(frame))

    def finish(self) -> Gop:
        """The GOP so far, upright."""
        t = self.steps
        motion = self._motion if self._fine is None else self._fine
        scale = 1 if self._fine is None else SUBPEL_SCALE
        gop = Gop(
            self._iframe, motion[:t], self._residual[:t], np.array(self._times), self.index, self._accumulate, scale,
            self.exact,
        )  # fmt: skip
        return turn(gop, self._quarters) if self._quarters else gop

    def _rgb(self, frame: Any) -> Array:
        """uint8 [H, line size], a view of the converted frame."""
        plane = self._reformatter.reformat(frame, format="rgb24", threads=1).planes[0]
        pixels: Array = np.frombuffer(memoryview(plane), np.uint8)
        return pixels.reshape(-1, plane.line_size)

    def _allocate(self, steps: int) -> tuple[Array, Array, Array | None]:
        """Motion, residual and, where asked for, sub-pel motion of `steps` frames, in one buffer."""
        places = steps * self.shape[0] * self.shape[1]
        size, start = places * sum(self._planes), 0
        buffer = (SHARED if size <= SHARED_VALUES else self._arena).take(size)
        arrays: list[Array] = []
        for planes in self._planes:
            part = buffer[start : start + places * planes]
            arrays.append(part.reshape(steps, *self.shape, planes))
            start += places * planes
        return arrays[0], arrays[1], arrays[2] if self._subpel else None

    def _grow(self) -> None:
        t = self.steps
        motion, residual, fine = self._allocate(2 * t)
        motion[:t], residual[:t] = self._motion[:t], self._residual[:t]
        if fine is not None and self._fine is not None:
            fine[:t] = self._fine[:t]
        self._motion, self._residual, self._fine = motion, residual, fine


def _time(frame: Any) -> float:
    return float("nan") if frame.pts is None else float(frame.pts * frame.time_base)
