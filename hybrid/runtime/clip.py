"""A video as the model sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybrid.model.config import InputConfig
from hybrid.model.inputs import sizes_of
from hybrid.video import Gop, sample_each
from hybrid.video.cache import cached_views
from hybrid.video.transform import Views, to_views


def load_clip(path: Path, config: InputConfig, cache: Path | None = None) -> Views:
    """Sample the model's views of a video and crop their centres, holding one GOP of full size at a time.

    Args:
        path: the video.
        config: how it is sampled, and how a GOP becomes arrays.
        cache: folder for prepared clips, where one that is there is taken from.

    Raises:
        BadInputError: for a video that cannot be used.
        HybridError: where the folder cannot be written.
    """

    def make() -> Views:
        parts = sample_each(
            path, config.views, lambda gop: gop_views(gop, config), steps=config.steps, accumulate=config.accumulated
        )
        return Views(*(np.concatenate([getattr(part, name) for part in parts]) for name in Views.__slots__))

    return make() if cache is None else cached_views(path, config.model_dump(), cache, make)


def gop_views(gop: Gop, config: InputConfig) -> Views:
    """One GOP as a view of its own."""
    return to_views((gop,), sizes_of(config), config.crop)
