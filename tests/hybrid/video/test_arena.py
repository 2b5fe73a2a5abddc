"""Memory is reused only when nobody looks into it any more."""

from __future__ import annotations

import threading

import numpy as np

from hybrid.video import read
from hybrid.video.arena import Arena


def test_a_buffer_in_use_is_never_handed_out_again():
    arena = Arena(spare=2)
    first = arena.take(100)[:60].reshape(6, 10)
    second = arena.take(100)
    assert not np.shares_memory(first, second)
    third = second[10:20]
    del second
    assert not np.shares_memory(arena.take(50), third)


def test_a_buffer_that_nobody_uses_is_handed_out_again():
    arena = Arena(spare=2)
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


def test_only_so_many_unused_buffers_are_kept():
    arena = Arena(spare=2)
    views = [arena.take(10)[:5] for _ in range(9)]
    del views
    arena.take(1000)
    assert len(arena._buffers) == 3  # two spare ones and the new one


def test_threads_never_share_a_buffer():
    arena, clashes = Arena(spare=4), []

    def work(value):
        for _ in range(300):
            view = arena.take(2000)[:1000]
            view[:] = value
            for _ in range(5):
                if (view != value).any():
                    clashes.append(value)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not clashes
