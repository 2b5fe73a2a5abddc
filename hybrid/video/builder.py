"""Collect decoded frames into one GOP."""

from __future__ import annotations

from typing import Any

import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.reformatter import VideoReformatter

from hybrid.video.accumulate import VECTOR, advance, advance_subpel
from hybrid.video.arena import SHARED, SHARED_VALUES, Arena
from hybrid.video.gop import Array, Gop, turn

SUBPEL_SCALE = 4
"""Units per pixel of sub-pel vectors: quarter pixels hold every precision that FFmpeg exports."""
NO_VECTORS = np.frombuffer(b"", VECTOR)
FIRST_CAPACITY = 11


def vectors_of(frame: Any) -> Array:
    """The motion vectors of a decoded frame as an array of type `VECTOR`; empty where all blocks are intra."""
    # Not `frame.side_data`, which the frame keeps and which keeps the frame: then it lives until the next garbage
    # collection, and the decoder takes fresh memory for the next picture instead of its own, which is in the cache.
    side_data = SideDataContainer(frame)  # type: ignore[call-arg]  # PyAV's stub leaves it out
    vectors = side_data.get(Type.MOTION_VECTORS)
    return NO_VECTORS if vectors is None else np.frombuffer(memoryview(vectors), VECTOR)


class Workspace:
    """What the GOPs of one video share, one after the other.

    One reformatter serves a whole video: a new one per frame, which is what `frame.to_ndarray` makes, costs more
    than the conversion to RGB itself.

    Args:
        shape: rows and columns.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.reformatter, self.arena = VideoReformatter(), Arena(spare=1)
        self.still = np.zeros((*shape, 2), np.int16)
        # the reference as the newest frame sees it, and as the one before it did, in turns
        self.warped = [np.empty((*shape, 3), np.uint8) for _ in range(2)]

    def buffer(self, size: int) -> Array:
        """Memory for `size` int16 values."""
        return (SHARED if size <= SHARED_VALUES else self.arena).take(size)

    def rgb(self, frame: Any) -> Array:
        """uint8 [H, line size], a view of the frame converted."""
        plane = self.reformatter.reformat(frame, format="rgb24", threads=1).planes[0]
        pixels: Array = np.frombuffer(memoryview(plane), np.uint8)
        return pixels.reshape(-1, plane.line_size)

    def picture(self, pixels: Array) -> Array:
        """uint8 [H, W, 3] of what `rgb` gave: itself where its rows follow each other, else a copy."""
        return np.ascontiguousarray(pixels[:, : 3 * self.shape[1]]).reshape(*self.shape, 3)


class GopBuilder:
    """Takes an I-frame, then P-frames one by one; only one builder of a workspace is in use at a time."""

    def __init__(
        self, frame: Any, index: int, workspace: Workspace, *, accumulate: bool, subpel: bool, exact: bool
    ) -> None:
        self.index, self.exact = index, exact
        self.shape = workspace.shape
        self._quarters = round(int(frame.rotation) / 90) % 4
        self._workspace, self._accumulate, self._subpel = workspace, accumulate, subpel
        self._iframe = workspace.picture(workspace.rgb(frame))
        self._reference = self._iframe
        self._motion, self._residual, self._fine = self._allocate(FIRST_CAPACITY)
        self._time_base, self._stamps = frame.time_base, [frame.pts]

    @property
    def steps(self) -> int:
        """P-frames so far."""
        return len(self._stamps) - 1

    def add(self, frame: Any, vectors: Array) -> None:
        """Trace one more frame back by its vectors; it has the shape of the I-frame."""
        t, space = self.steps, self._workspace
        if t == len(self._motion):
            self._grow()
        last = t - 1 if t and self._accumulate else None
        if self._fine is not None:
            before = space.still if last is None else self._fine[last]
            advance_subpel(vectors, SUBPEL_SCALE, before, self._fine[t])
        pixels, warped = space.rgb(frame), space.warped[t % 2]
        before = space.still if last is None else self._motion[last]
        advance(vectors, pixels, before, self._reference, self._motion[t], warped, self._residual[t])
        self._reference = warped if self._accumulate else space.picture(pixels)
        self._stamps.append(frame.pts)

    def finish(self) -> Gop:
        """The GOP so far, upright."""
        t, up, down = self.steps, self._time_base.numerator, self._time_base.denominator
        times = [float("nan") if x is None else x * up / down for x in self._stamps]
        motion, scale = (self._motion, 1) if self._fine is None else (self._fine, SUBPEL_SCALE)
        gop = Gop(
            self._iframe, motion[:t], self._residual[:t], np.array(times), self.index, self._accumulate, scale,
            self.exact,
        )  # fmt: skip
        return turn(gop, self._quarters) if self._quarters else gop

    def _allocate(self, steps: int) -> tuple[Array, Array, Array | None]:
        """Motion, residual and, where asked for, sub-pel motion of `steps` frames, in one buffer."""
        places, start = steps * self.shape[0] * self.shape[1], 0
        planes = (2, 3, 2) if self._subpel else (2, 3)
        buffer = self._workspace.buffer(places * sum(planes))
        arrays: list[Array] = []
        for count in planes:
            part = buffer[start : start + places * count]
            arrays.append(part.reshape(steps, *self.shape, count))
            start += places * count
        return arrays[0], arrays[1], arrays[2] if self._subpel else None

    def _grow(self) -> None:
        t = self.steps
        motion, residual, fine = self._allocate(2 * t)
        motion[:t], residual[:t] = self._motion[:t], self._residual[:t]
        if fine is not None and self._fine is not None:
            fine[:t] = self._fine[:t]
        self._motion, self._residual, self._fine = motion, residual, fine
