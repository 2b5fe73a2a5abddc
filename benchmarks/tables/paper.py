"""What the paper's tables state: Das Biswas et al., arXiv 2503.13724, tables 1, 2, 3, 4 and 5."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stated:
    """A row of the paper.

    Attributes:
        modality: what it takes.
        joules: J per video.
        accuracy: top-1 in percent by data set.
        parameters_m: millions of parameters, where stated.
        speed: videos per second, where stated.
        views: the column of table 1, whose two numbers run together in the public text.
    """

    modality: str
    joules: float
    accuracy: dict[str, float]
    parameters_m: float | None = None
    speed: float | None = None
    views: str = ""


def _ucf(modality: str, views: str, ucf: float, hmdb: float | None, params: float | None, joules: float,
         speed: float | None = None) -> Stated:  # fmt: skip
    accuracy = {"UCF-101": ucf} | ({} if hmdb is None else {"HMDB-51": hmdb})
    return Stated(modality, joules, accuracy, params, speed, views)


TABLE_1 = {
    "ALT-L/14": _ucf("raw", "32x1", 98.1, 79.1, 437.1, 242.733),
    "VidTr": _ucf("raw", "10x3", 96.7, 74.4, 90.89, 51.180, 0.284),
    "Liu et al.": _ucf("raw + compressed", "8x10", 95.8, 73.5, 81.72, 3.422),
    "MFCD-Net": _ucf("raw + compressed", "12x15", 93.2, 66.9, 16, 0.589, 0.352),
    "DMC-Net": _ucf("compressed + flow", "8x10", 92.3, 71.8, 92.4, 13.771, 0.043),
    "CV-C3D": _ucf("compressed", "16x1", 83.9, 55.7, 235.3, 0.501, 1.259),
    "MIMO": _ucf("compressed", "8x1", 89.2, 62.9, 37.09, 3.709, 1.307),
    "TEAM-Net": _ucf("compressed", "8x10", 94.3, 73.8, 48.65, 3.714, 1.537),
    "CoViAR": _ucf("compressed", "8x10", 90.4, 59.1, 81.72, 3.422, 1.585),
    "Wu et al.": _ucf("compressed", "8x10", 88.5, 56.2, 33.69, 2.075, 1.658),
    "PKD": _ucf("compressed", "3x1", 88.4, 60.3, 79.2, 0.544),
    "MM-ViT": _ucf("compressed", "8x3", 93.3, None, None, 82.801),
    "ours": _ucf("compressed", "8x1", 95.6, 74.6, 83.41, 0.734, 16.025),
}


def _large(modality: str, ssv2: float | None, k400: float | None, k600: float | None, joules: float) -> Stated:
    stated = {"SS-v2": ssv2, "K-400": k400, "K-600": k600}
    return Stated(modality, joules, {name: value for name, value in stated.items() if value is not None})


TABLE_2 = {
    "ViViT-L FE": _large("raw", 65.9, 81.7, 83.0, 54.92),
    "VidTr": _large("raw", 63.0, 77.7, None, 51.18),
    "I3D": _large("raw", 50.0, None, None, 100.67),
    "VideoMAE V2-g": _large("raw", 77.0, 88.5, 88.8, 2633.04),
    "VideoSwin-L": _large("raw", 69.6, 84.9, 86.1, 484.61),
    "Video-FocalNet-B": _large("raw", 71.1, 83.6, 86.7, 822.48),
    "Liu et al.": _large("raw + compressed", None, 73.5, None, 3.42),
    "MFCD-Net": _large("raw + compressed", None, 68.3, None, 0.59),
    "CoViAR": _large("compressed", None, 69.1, None, 3.42),
    "TEAM-Net": _large("compressed", None, 72.2, None, 3.71),
    "MM-ViT": _large("compressed", 64.9, None, 81.5, 82.80),
    "ours": _large("compressed", 62.5, 74.2, 80.3, 0.73),
    "ours-L": _large("compressed", 64.2, 75.9, 81.1, 1.40),
}

ABLATIONS = {
    "full model": (95.63, 0.73), "I + MV": (93.21, None), "I + R": (92.93, None), "MV + R": (84.06, None),
    "order LS-GS-T": (90.72, None), "order LS-T-GS": (91.64, None), "cross attention": (94.72, 0.93),
    "separate attention": (94.18, 0.95), "without STM": (88.61, None), "common STM": (93.45, None),
    "ConvLSTM": (93.92, None), "fixed leak and threshold": (93.91, None), "without accumulation": (89.65, None),
    "without mixer": (90.84, None), "without skips": (89.02, None), "without RRDB": (91.77, None),
    "class token": (94.31, None),
}  # fmt: skip
"""UCF-101 top-1 in percent and J per video, where stated, by row of `hybrid.model.ablations`."""
