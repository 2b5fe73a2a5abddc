"""A video as the model sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybrid.model.config import InputConfig
from hybrid.model.inputs import sizes_of
from hybrid.video import Gop, sample_each
from hybrid.video.transform import Views, to_views


def load_clip(path: Path, config: InputConfig) -> Views:
    """Sample the model's views of a video and crop their centres, holding one GOP of full size at a time.

    Raises:
        BadInputError: for a video that cannot be used.
    """
    parts = sample_each(
        path, config.views, lambda gop: gop_views(gop, config), steps=config.steps, accumulate=config.accumulated
    )
    return Views(*(np.concatenate([getattr(part, name) for part in parts]) for name in Views.__slots__))


def gop_views(gop: Gop, config: InputConfig) -> Views:
    """One GOP as a view of its own."""
    return to_views((gop,), sizes_of(config), config.crop)
