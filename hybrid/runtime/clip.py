"""A video as the model sees it."""

from __future__ import annotations

from pathlib import Path

from hybrid.model.config import InputConfig
from hybrid.model.inputs import sizes_of
from hybrid.video import sample
from hybrid.video.transform import Views, centre_crop, to_views


def load_clip(path: Path, config: InputConfig) -> Views:
    """Sample the model's views of a video and crop their centres.

    Raises:
        BadInputError: for a video that cannot be used.
    """
    gops = sample(path, config.views, steps=config.steps, accumulate=config.accumulated)
    return centre_crop(to_views(gops, sizes_of(config)), config.crop)
