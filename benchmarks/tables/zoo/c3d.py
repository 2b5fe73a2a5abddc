"""C3D: Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, figure 3.

CV-C3D runs one on each stream (dos Santos, Sebe, Almeida, SIBGRAPI 2019): 16 frames of 112x112, one centre crop.
"""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.tables.count import Part
from benchmarks.tables.method import SCRIPT, Method, Protocol


class C3D(nn.Module):
    """Eight 3x3x3 convolutions, five poolings, three linear layers."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, widths in enumerate(((64,), (128,), (256, 256), (512, 512), (512, 512))):
            for width in widths:
                layers += [nn.Conv3d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            stride = (1, 2, 2) if i == 0 else (2, 2, 2)
            layers.append(nn.MaxPool3d(stride, stride, padding=(0, 1, 1) if i == 4 else 0))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(8192, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, classes)
        )

    def forward(self, clip: Tensor) -> Tensor:
        """Scores of clips [B, channels, 16, 112, 112]."""
        scores: Tensor = self.classifier(self.features(clip).flatten(1))
        return scores


def _stream(name: str, channels: int) -> Part:
    return Part(name, lambda: C3D(channels, 101), ((1, channels, 16, 112, 112),))


STREAMS = (_stream("I", 3), _stream("motion", 2), _stream("residual", 3))
_ONCE = {part.name: 1 for part in STREAMS}

CV_C3D = Method(
    name="CV-C3D",
    source="Tran et al., ICCV 2015; dos Santos et al., SIBGRAPI 2019",
    parts=STREAMS,
    protocol=Protocol("16 frames of each stream, one crop (the column's 16x1 are frames, not views)", 1, _ONCE),
    others=(
        Protocol(
            "a giga is 2^30",
            1, _ONCE, factor=1e9 / 2**30, evidence=SCRIPT,
        ),
        Protocol("16 views", 16, _ONCE),
    ),
    gops=16,
)  # fmt: skip
