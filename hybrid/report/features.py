"""What a model makes of a clip, to look at: the paper's Fig. 1 (t-SNE of frames) and Fig. 5 (feature maps)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from torch import Tensor, nn
from torch.nn import functional as F

from hybrid.errors import BadInputError
from hybrid.files import make_folder, write_aside
from hybrid.model.hybrid_model import HybridModel
from hybrid.model.inputs import to_tensors
from hybrid.report.ingest import colour, grey
from hybrid.runtime.clip import load_clip
from hybrid.video import read
from hybrid.video.gop import Array

THUMBNAIL = 32
"""Side that frames are shrunk to before t-SNE."""
MAPS = {
    "stm_motion": "STM, motion", "stm_residual": "STM, residuals", "encoder": "transformer", "rrdb": "mixer and RRDB"
}  # fmt: skip


def write_figures(model: HybridModel, videos: Sequence[Path], folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Write `tsne.png` of all videos and `features.png` of the first; returns the paths.

    Raises:
        BadInputError: for a video that cannot be used, or a folder that is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInputError(str(folder), "it is a file", "choose a folder for the pictures")
    pictures = draw_tsne(videos, seed), draw_features(model, videos[0])
    make_folder(folder)
    targets = folder / "tsne.png", folder / "features.png"
    for target, picture in zip(targets, pictures, strict=True):
        write_aside(target, picture)
    return targets


def draw_tsne(videos: Sequence[Path], seed: int = 0) -> bytes:
    """t-SNE of the decoded frames (left) and of the accumulated P-frames (right), a line per video, as PNG.

    Raises:
        BadInputError: for a video that cannot be traced back, or too few frames for a picture.
    """
    trains = [_frames(path) for path in videos]
    if sum(len(rgb) for rgb, _ in trains) < 12:
        raise BadInputError(str(videos[0]), "fewer than 12 frames", "use longer clips")
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, title, kind in zip(axes, ("RGB frames", "P-frames: motion and residual"), (0, 1), strict=True):
        sets = [train[kind] for train in trains]
        points = np.concatenate(sets)
        perplexity = min(15.0, (len(points) - 1) / 3)
        placed = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
        first = 0
        for path, rows, line in zip(videos, sets, ("-", "--", ":", "-.") * len(sets), strict=False):
            part, first = placed[first : first + len(rows)], first + len(rows)
            axis.plot(part[:, 0], part[:, 1], line, color="grey", linewidth=0.8, label=path.stem)
            shown = axis.scatter(part[:, 0], part[:, 1], c=np.linspace(0, 1, len(part)), cmap="viridis", s=18)
        axis.set_title(title)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.legend(fontsize="small")
    figure.colorbar(shown, ax=axes, label="time in the clip")
    return _png(figure)


def draw_features(model: HybridModel, video: Path) -> bytes:
    """What each part of the model sees in a GOP: the mean magnitude of its maps over the picture, as PNG.

    Raises:
        BadInputError: for a video that cannot be used.
    """
    config = model.config.input
    views = load_clip(video, config)
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> object:
        return lambda module, args, result: seen.__setitem__(name, result)

    parts = [(name, getattr(model, name)) for name in MAPS if isinstance(getattr(model, name, None), nn.Module)]
    hooks = [part.register_forward_hook(keep(name)) for name, part in parts]
    with torch.no_grad():
        model(*to_tensors(views, config))
    for hook in hooks:
        hook.remove()
    streams = len(model.config.modalities)
    count = len(views.iframe)
    figure = Figure(figsize=(2.2 * (3 + len(seen)), 2.3 * count), layout="constrained")
    axes = figure.subplots(count, 3 + len(seen), squeeze=False)
    for row, iframe in enumerate(views.iframe):
        picture = iframe.transpose(1, 2, 0)
        motion = views.motion[row, -1].transpose(1, 2, 0)
        residual = views.residual[row, -1].transpose(1, 2, 0)
        shown = {"I-frame": picture, "motion, last P": colour(motion, max(1, np.abs(motion).max())),
                 "residual, last P": grey(residual)}  # fmt: skip
        for column, (title, image) in enumerate(shown.items()):
            axes[row, column].imshow(image)
            axes[row, column].set_title(title if row == 0 else "")
        for column, (name, maps) in enumerate(seen.items(), 3):
            axes[row, column].imshow(picture.mean(-1), cmap="grey")
            axes[row, column].imshow(
                _heat(maps, row, model.config.grid, streams, config.crop), cmap="inferno", alpha=0.6
            )
            axes[row, column].set_title(MAPS[name] if row == 0 else "")
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    return _png(figure)


def _heat(maps: Tensor, row: int, grid: tuple[int, int], streams: int, side: int) -> Array:
    """Mean magnitude [side, side] of feature maps [B, C, h, w], or of tokens [B, streams * N, dim]."""
    if maps.ndim == 3:
        tokens = (maps[row] - maps[row].mean(dim=0)).abs().mean(-1)
        plane = tokens.reshape(streams, *grid).mean(0)
    else:
        plane = (maps[row] - maps[row].mean(dim=(1, 2), keepdim=True)).abs().mean(0)
    plane = plane / plane.max().clamp_min(1e-9)
    grown: Tensor = F.interpolate(plane[None, None], (side, side), mode="bilinear")[0, 0]
    return np.asarray(grown.numpy())


def _frames(video: Path) -> tuple[Array, Array]:
    """Decoded frames and accumulated P-frames of a video as rows of numbers."""
    rgb, compressed = [], []
    for gop in read(video):
        if not gop.steps:
            continue
        both = np.concatenate([gop.motion * 8.0, gop.residual.astype(float)], axis=-1)
        rgb.append(_small(gop.reconstruct().astype(np.float32)))
        compressed.append(_small(both.astype(np.float32)))
    if not rgb:
        raise BadInputError(str(video), "it has no P-frame", "use a clip that was encoded with a GOP of more than one")
    return np.concatenate(rgb), np.concatenate(compressed)


def _small(frames: Array) -> Array:
    planes = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    return np.asarray(F.adaptive_avg_pool2d(planes, THUMBNAIL).flatten(1).numpy())


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
