"""Clips ahead of their use: in order, with their errors, and the waiting told."""

from __future__ import annotations

import time

import pytest
import torch

from hybrid.runtime.feed import Feed

CPU = torch.device("cpu")


def load(number):
    time.sleep(0.03)
    return (torch.tensor(number),)


def used(readers):
    feed = Feed(range(8), load, CPU, readers)
    numbers = []
    for (x,) in feed:
        numbers.append(int(x))
        time.sleep(0.04)
    assert numbers == list(range(8))
    assert feed.count == 7
    return feed


def test_reading_ahead_hides_the_reading_and_both_say_how_long_was_waited():
    alone, ahead = used(0), used(2)
    assert alone.waited_s >= 7 * 0.03
    assert alone.seconds >= 7 * 0.07
    # only the second item, which nothing is read ahead of, is waited for in full
    assert ahead.waited_s < alone.waited_s / 2
    assert ahead.waiting < alone.waiting < 1


def test_what_loading_raises_comes_at_its_item():
    def broken(number):
        if number == 2:
            raise ValueError("half a file")
        return (torch.tensor(number),)

    feed = iter(Feed(range(4), broken, CPU, 1))
    assert [int(next(feed)[0]) for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="half a file"):
        next(feed)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_tensors_arrive_on_the_gpu():
    for (x,) in Feed(range(3), load, torch.device("cuda"), 2):
        assert x.is_cuda
