"""Clips as a training loop takes them: prepared once, then GOPs drawn by segment and augmented."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, Sampler

from hybrid.datasets.records import LabelledClip
from hybrid.errors import BadInputError
from hybrid.files import scratch_folder
from hybrid.model.config import InputConfig, ModelConfig
from hybrid.model.inputs import sizes_of, to_tensors
from hybrid.video import read
from hybrid.video.cache import cached_views
from hybrid.video.reader import index
from hybrid.video.transcode import Format, transcode
from hybrid.video.transform import Views, centre_crop, crop, flip, to_views

Item = tuple[Tensor, Tensor, Tensor, int]
OnBad = Callable[[Path, BadInputError], None]
"""Told of a clip that is left out, and why."""
LATER_STARTS = (3, 6, 9)
"""First frames of the re-encoded copies of a training clip, so that its GOPs begin elsewhere."""


def load_views(clip: Path, config: InputConfig, cache: Path | None = None, start: int = 0) -> Views:
    """Every whole GOP of a clip, resized and quantised, not cropped; kept in the folder `cache` where given.

    Args:
        clip: the video.
        config: how a GOP becomes arrays.
        cache: folder for prepared clips.
        start: re-encode the clip from this frame on. A GOP begins where the encoder put an I-frame; a copy that
            starts later has other I-frames, and other vectors for the same movement.

    Raises:
        BadInputError: for a broken clip, or one shorter than one GOP.
    """

    def make() -> Views:
        if start == 0:
            return _read_views(clip, config)
        with scratch_folder() as folder:
            copy = folder / "copy.avi"
            transcode(clip, copy, Format(gop=config.steps + 1, start=start))
            return _read_views(copy, config)

    if cache is None:
        return make()
    return cached_views(clip, config.model_dump(exclude={"crop", "views"}) | {"start": start}, cache, make)


def _read_views(clip: Path, config: InputConfig) -> Views:
    read_gops = read(clip, accumulate=config.accumulated, max_steps=config.steps)
    gops = [gop for gop in read_gops if gop.steps == config.steps]
    if not gops:
        raise BadInputError(str(clip), f"no GOP has an I-frame and {config.steps} P-frames", "use a longer clip")
    return to_views(gops, sizes_of(config))


def prepare(clip: Path, config: ModelConfig, cache: Path | None, *, drawn: bool) -> list[Views]:
    """A clip, and the copies of it that start later where it is trained on and the config wants them.

    Args:
        clip: the video.
        config: of the model.
        cache: folder for prepared clips.
        drawn: whether GOPs are drawn from it to train; a clip that is measured has no copies.

    Raises:
        BadInputError: for a broken clip, or one shorter than one GOP.
    """
    taken = config.input
    copies = [load_views(clip, taken, cache)]
    if drawn and config.training.later_starts:
        frames = sum(gop.frames for gop in index(clip))
        copies += [load_views(clip, taken, cache, x) for x in LATER_STARTS if frames - x > taken.steps]
    return copies


class ClipDataset(Dataset[Item]):
    """Clips as (iframe [V, ...], motion [V, T, ...], residual [V, T, ...], label).

    Measured clips give the middle GOP of each segment and the centre crop. Training clips are asked for by
    (epoch, number), which alone seeds the draw: GOP within each segment (TSN, Wang et al. 2016), re-encoded copy,
    crop and its scale, flip, and whether the I-frames are blanked. So it does not matter which process loads a
    clip, nor whether the training was stopped and resumed.
    """

    def __init__(
        self,
        clips: Sequence[LabelledClip],
        config: ModelConfig,
        *,
        seed: int | None = None,
        cache: Path | None = None,
        on_clip: Callable[[], None] = lambda: None,
        on_bad: OnBad | None = None,
    ) -> None:
        """Prepare every clip.

        Args:
            clips: what to load.
            config: of the model.
            seed: of the draws; None to measure.
            cache: folder for prepared clips; in memory where it is None.
            on_clip: told after each clip.
            on_bad: told of a clip that cannot be used, which is then left out.

        Raises:
            BadInputError: for a clip that cannot be used, without `on_bad`.
        """
        self._config, self._seed = config, seed
        self._labels: list[int] = []
        self._copies: list[list[Views]] = []
        for clip in clips:
            try:
                self._copies.append(prepare(clip.path, config, cache, drawn=seed is not None))
                self._labels.append(config.classes.index(clip.label))
            except BadInputError as error:
                if on_bad is None:
                    raise
                on_bad(clip.path, error)
            on_clip()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, item: int | tuple[int, int]) -> Item:
        config = self._config.input
        if isinstance(item, tuple):
            epoch, number = item
            generator = torch.Generator().manual_seed(seed_of(self._seed or 0, epoch, number))
            return (*self._draw(self._copies[number], generator), self._labels[number])
        views = self._copies[item][0]
        count = len(views.iframe)
        middle = [int((i + 0.5) * count / config.views) for i in range(config.views)]
        return (*to_tensors(centre_crop(_pick(views, middle), config.crop), config), self._labels[item])

    def _draw(self, copies: Sequence[Views], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        config, training = self._config.input, self._config.training

        def below(limit: int) -> int:
            return int(torch.randint(limit, (), generator=generator))

        views = copies[below(len(copies))]
        count, offsets = len(views.iframe), torch.rand(config.views, generator=generator)
        views = _pick(views, [int((i + float(x)) * count / config.views) for i, x in enumerate(offsets)])
        height, width = views.iframe.shape[-2:]
        side = round(min(height, width) * training.scales[below(len(training.scales))])
        views = crop(views, below(height - side + 1), below(width - side + 1), side)
        if below(2):
            views = flip(views)
        iframe, motion, residual = (_scale(x, config.crop) for x in to_tensors(views, config))
        if float(torch.rand((), generator=generator)) < training.iframe_dropout:
            iframe = torch.full_like(iframe, 0.5)
        return iframe, motion * (config.crop / side), residual


class EpochSampler(Sampler[tuple[int, int]]):
    """Every clip once, as (epoch, number), in an order that seed and epoch fix; Lightning tells the epoch.

    Where several processes train together, each gets its part of every batch, so that together they take the batches
    that one process would take; a last batch that is not whole is left out.

    Args:
        count: clips.
        seed: of the order.
        batch: clips of a step, of all processes together; a multiple of their number.
    """

    def __init__(self, count: int, seed: int, batch: int) -> None:
        self._count, self._seed, self._batch, self._epoch = count, seed, batch, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count // self._batch * self._batch // processes()[1]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(seed_of(self._seed, self._epoch, -1))
        order = torch.randperm(self._count, generator=generator)[: self._count // self._batch * self._batch]
        rank, world = processes()
        mine = order.reshape(-1, world, self._batch // world)[:, rank].flatten().tolist()
        return iter([(self._epoch, number) for number in mine])


class ShareSampler(Sampler[int]):
    """Clips to measure, each by one of the processes that train together; by all where there is not one for each."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return len(self._mine())

    def __iter__(self) -> Iterator[int]:
        return iter(self._mine())

    def _mine(self) -> range:
        rank, world = processes()
        return range(self._count)[rank::world] if self._count >= world else range(self._count)


def processes() -> tuple[int, int]:
    """Number of this process among those that train together, and how many they are."""
    if not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def _pick(views: Views, chosen: Sequence[int]) -> Views:
    return Views(views.iframe[chosen], views.motion[chosen], views.residual[chosen])


def seed_of(*parts: int) -> int:
    """A seed of its own for every draw that `parts` name."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def _scale(planes: Tensor, side: int) -> Tensor:
    """Resize the last two dimensions to a square."""
    if planes.shape[-2:] == (side, side):
        return planes
    flat = planes.flatten(0, -4) if planes.ndim > 4 else planes
    resized: Tensor = F.interpolate(flat, (side, side), mode="bilinear", align_corners=False)
    return resized.reshape(*planes.shape[:-2], side, side)
