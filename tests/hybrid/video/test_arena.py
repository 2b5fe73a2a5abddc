"""Memory is reused only when nobody looks into it any more."""

from __future__ import annotations

import numpy as np

from hybrid.video import read
from hybrid.video.arena import Arena


def test_a_buffer_in_use_is_never_handed_out_again():
    arena = Arena()
    first = arena.take(100)[:60].reshape(6, 10)
    second = arena.take(100)
    assert not np.shares_memory(first, second)
    third = second[10:20]
    del second
    assert not np.shares_memory(arena.take(50), third)


def test_a_buffer_that_nobody_uses_is_handed_out_again():
    arena = Arena()
    view = arena.take(100)[:50]
    address = view.__array_interface__["data"][0]
    del view
    assert arena.take(80).__array_interface__["data"][0] == address


def test_gops_that_are_kept_stay_as_they_were(demo_clips):
    kept = list(read(demo_clips[0]))
    copies = [gop.motion.copy() for gop in read(demo_clips[0])]
    for gop, copy in zip(kept, copies, strict=True):
        assert np.array_equal(gop.motion, copy)
    for a in kept:
        for b in kept:
            assert a is b or not np.shares_memory(a.residual, b.residual)
