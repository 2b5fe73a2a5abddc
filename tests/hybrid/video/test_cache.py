"""The cache of prepared views: right, or made anew; never half, never of another video or setting."""

from __future__ import annotations

import multiprocessing
import shutil

import numpy as np
import pytest

from hybrid.errors import BadInputError
from hybrid.model.config import load_config
from hybrid.training.dataset import load_views

CONFIG = load_config("tiny").input


def same(a, b):
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("iframe", "motion", "residual"))


def test_what_comes_from_the_cache_equals_what_was_read(demo_clips, tmp_path):
    made = load_views(demo_clips[0], CONFIG, tmp_path)
    (entry,) = tmp_path.iterdir()
    stamp = entry.stat().st_mtime_ns
    found = load_views(demo_clips[0], CONFIG, tmp_path)
    assert same(made, found)
    assert same(made, load_views(demo_clips[0], CONFIG))
    assert entry.stat().st_mtime_ns == stamp


def test_another_setting_or_a_replaced_video_is_another_entry(demo_clips, tmp_path):
    video, cache = tmp_path / "clip.avi", tmp_path / "cache"
    shutil.copy(demo_clips[0], video)
    first = load_views(video, CONFIG, cache)
    load_views(video, CONFIG.model_copy(update={"motion_bits": 6}), cache)
    assert len(list(cache.iterdir())) == 2
    shutil.copy(demo_clips[1], video)
    assert not same(load_views(video, CONFIG, cache), first)
    assert len(list(cache.iterdir())) == 3


def test_the_crop_and_the_number_of_views_share_an_entry(demo_clips, tmp_path):
    load_views(demo_clips[0], CONFIG, tmp_path)
    load_views(demo_clips[0], CONFIG.model_copy(update={"crop": 64, "views": 2}), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * 99])
def test_a_damaged_entry_is_made_anew(demo_clips, tmp_path, damage):
    made = load_views(demo_clips[0], CONFIG, tmp_path)
    (entry,) = tmp_path.iterdir()
    data = entry.read_bytes()
    entry.write_bytes(damage(data))
    assert same(load_views(demo_clips[0], CONFIG, tmp_path), made)
    assert entry.read_bytes() == data


def test_a_video_that_cannot_be_used_leaves_no_entry(tmp_path):
    (tmp_path / "bad.avi").write_text("no video")
    with pytest.raises(BadInputError):
        load_views(tmp_path / "bad.avi", CONFIG, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_several_processes_may_fill_one_folder(demo_clips, tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(load_views, [(clip, CONFIG, tmp_path) for clip in (*demo_clips, *demo_clips)])
    assert same(found[0], found[2])
    assert same(found[1], found[3])
    assert len(list(tmp_path.iterdir())) == len(demo_clips)
