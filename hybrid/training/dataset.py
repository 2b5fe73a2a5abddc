"""Folders of clips: one folder per class, split by recording group, GOPs held in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from hybrid.datasets.folder import group_of
from hybrid.datasets.parse import is_video
from hybrid.errors import BadInputError
from hybrid.model.config import InputConfig, ModelConfig
from hybrid.model.inputs import sizes_of, to_tensors
from hybrid.video import read
from hybrid.video.cache import cached_views
from hybrid.video.transform import Views, centre_crop, crop, flip, to_views


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled video.

    Attributes:
        path: the file.
        label: name of its class, the folder's.
        group: recording it belongs to; clips of one group share person, place and light.
    """

    path: Path
    label: str
    group: str


def find_clips(root: Path, classes: Sequence[str]) -> tuple[Clip, ...]:
    """List `root/LABEL/GROUP_INDEX.avi` in a fixed order.

    Raises:
        BadInputError: for a missing folder, an unknown label or an empty class.
    """
    if not root.is_dir():
        raise BadInputError(str(root), "there is no such folder", "give a folder with one sub-folder per class")
    unknown = sorted({x.name for x in root.iterdir() if x.is_dir() and not x.name.startswith(".")} - set(classes))
    if unknown:
        raise BadInputError(
            str(root), f"{unknown[0]!r} is not in the config's classes", "add it there, or move it away"
        )
    clips: list[Clip] = []
    for label in classes:
        paths = sorted(x for x in (root / label).glob("*") if is_video(x))
        if not paths:
            raise BadInputError(
                str(root / label), "this class has no clips", "add clips, or take the class out of the config"
            )
        for path in paths:
            clips.append(Clip(path, label, group_of(path)))
    return tuple(clips)


def split_by_group(clips: Sequence[Clip], share: float) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """Hold out whole recording groups: per class the smallest ones until `share` is reached, never all.

    Returns:
        Training clips and held-out clips; no group is in both.
    """
    held: set[tuple[str, str]] = set()
    for label in dict.fromkeys(clip.label for clip in clips):
        sizes: dict[str, int] = {}
        for clip in clips:
            if clip.label == label:
                sizes[clip.group] = sizes.get(clip.group, 0) + 1
        goal, count = share * sum(sizes.values()), 0
        for group in sorted(sizes, key=lambda g: (sizes[g], g))[:-1]:
            if count >= goal:
                break
            held.add((label, group))
            count += sizes[group]
    train = tuple(clip for clip in clips if (clip.label, clip.group) not in held)
    return train, tuple(clip for clip in clips if (clip.label, clip.group) in held)


def load_views(clip: Path, config: InputConfig, cache: Path | None = None) -> Views:
    """Every whole GOP of a clip, resized and quantised, not cropped; kept in the folder `cache` where given.

    Raises:
        BadInputError: for a broken clip, or one shorter than one GOP.
    """

    def make() -> Views:
        gops = [gop for gop in read(clip, max_steps=config.steps) if gop.steps == config.steps]
        if not gops:
            raise BadInputError(str(clip), f"no GOP has an I-frame and {config.steps} P-frames", "use a longer clip")
        return to_views(gops, sizes_of(config))

    if cache is None:
        return make()
    return cached_views(clip, config.model_dump(exclude={"crop", "views"}), cache, make)


class ClipDataset(Dataset[tuple[Tensor, Tensor, Tensor, int]]):
    """Clips as (iframe [V, ...], motion [V, T, ...], residual [V, T, ...], label).

    For training, the GOP of each segment, the crop, its scale and the flip are drawn at random (TSN, Wang et
    al. 2016), and the I-frames are blanked now and then; otherwise the middle GOP of each segment and the
    centre crop.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        config: ModelConfig,
        *,
        train: bool,
        cache: Path | None = None,
        on_clip: Callable[[], None] = lambda: None,
    ) -> None:
        self._config, self._train = config, train
        self._labels = [config.classes.index(clip.label) for clip in clips]
        self._views = []
        for clip in clips:
            self._views.append(load_views(clip.path, config.input, cache))
            on_clip()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor, Tensor, int]:
        views, config = self._views[item], self._config.input
        offsets = torch.rand(config.views) if self._train else torch.full((config.views,), 0.5)
        count = len(views.iframe)
        chosen = [int((i + float(offset)) * count / config.views) for i, offset in enumerate(offsets)]
        views = Views(views.iframe[chosen], views.motion[chosen], views.residual[chosen])
        if not self._train:
            return (*to_tensors(centre_crop(views, config.crop), config), self._labels[item])
        return (*self._augment(views), self._labels[item])

    def _augment(self, views: Views) -> tuple[Tensor, Tensor, Tensor]:
        config, training = self._config.input, self._config.training
        height, width = views.iframe.shape[-2:]
        side = round(min(height, width) * training.scales[int(torch.randint(len(training.scales), ()))])
        top, left = int(torch.randint(height - side + 1, ())), int(torch.randint(width - side + 1, ()))
        views = crop(views, top, left, side)
        if bool(torch.randint(2, ())):
            views = flip(views)
        iframe, motion, residual = (_scale(x, config.crop) for x in to_tensors(views, config))
        if float(torch.rand(())) < training.iframe_dropout:
            iframe = torch.full_like(iframe, 0.5)
        return iframe, motion * (config.crop / side), residual


def _scale(planes: Tensor, side: int) -> Tensor:
    """Resize the last two dimensions to a square."""
    flat = planes.flatten(0, -4) if planes.ndim > 4 else planes
    resized: Tensor = F.interpolate(flat, (side, side), mode="bilinear", align_corners=False)
    return resized.reshape(*planes.shape[:-2], side, side)
