"""The methods that put a 2D ResNet on each stream of the compressed video.

CoViAR: Wu et al., Compressed Video Action Recognition, CVPR 2018. Multi-teacher distillation: Wu et al., ICASSP 2019.
DMC-Net: Shou et al., CVPR 2019 (authors' model.py). TEAM-Net: Wang et al., BMVC 2021 (authors' team_net.py).
MIMO: Terao et al., ICASSP 2023. PKD: Soufleri et al., CVPR Workshops 2024 (authors' code, model_unrolled_IC_*.py).
PKD's repository also counts its rivals' operations (MACs/main.py): three I-frames and eleven P-frames a view there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18, resnet50, resnet152

from benchmarks.tables.count import Part
from benchmarks.tables.method import SCRIPT, Method, Protocol

KINETICS = 400
"""Classes of the heads with which CoViAR's and TEAM-Net's parameters are the paper's to 0.1 %."""
CHANNELS = {"I": 3, "motion": 2, "residual": 3, "flow": 2}


def resnet(build: Callable[..., ResNet], channels: int, classes: int) -> ResNet:
    """A ResNet of torchvision for another number of input channels."""
    model = build(num_classes=classes)
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return model


def stream(name: str, build: Callable[..., ResNet], classes: int = 101, side: int = 224) -> Part:
    """A ResNet on one frame of a stream."""
    channels = CHANNELS[name]
    return Part(name, partial(resnet, build, channels, classes), ((1, channels, side, side),))


class TEAM(nn.Module):
    """Channel, then spatial attention of the three streams from all three (TEAM-Net, section 3)."""

    def __init__(self, widths: tuple[int, int, int], ratio: int = 4) -> None:
        super().__init__()
        self.widths, total = widths, sum(widths)
        self.squeeze = nn.Linear(total, total // ratio, bias=False)
        self.excite = nn.Linear(total // ratio, total, bias=False)
        self.space = nn.Conv2d(3, 3, 3, padding=1, bias=False)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Reweighted maps."""
        means = torch.cat([x.mean(dim=(2, 3)) for x in maps], dim=1)
        weights = torch.sigmoid(self.excite(torch.relu(self.squeeze(means)))).split(self.widths, dim=1)
        maps = [x * w[:, :, None, None] for x, w in zip(maps, weights, strict=True)]
        places = torch.sigmoid(self.space(torch.stack([x.mean(dim=1) for x in maps], dim=1)))
        return [x * places[:, i : i + 1] for i, x in enumerate(maps)]


class TEAMNet(nn.Module):
    """ResNet-50 on I-frames, ResNet-18 on motion and residuals, joined behind the stem and three stages."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        builds = (resnet50, resnet18, resnet18)
        self.streams = nn.ModuleList(resnet(b, c, classes) for b, c in zip(builds, (3, 2, 3), strict=True))
        widths = [(64, 64, 64), (256, 64, 64), (512, 128, 128), (1024, 256, 256)]
        self.teams = nn.ModuleList(TEAM(w) for w in widths)

    def forward(self, iframe: Tensor, motion: Tensor, residual: Tensor) -> Tensor:
        """Scores [B, classes]."""
        maps = [
            s.maxpool(s.relu(s.bn1(s.conv1(x)))) for s, x in zip(self.streams, (iframe, motion, residual), strict=True)
        ]
        for i, team in enumerate(self.teams):
            maps = team(maps)
            maps = [getattr(s, f"layer{i + 1}")(x) for s, x in zip(self.streams, maps, strict=True)]
        scores = [s.fc(x.mean(dim=(2, 3))) for s, x in zip(self.streams, maps, strict=True)]
        return torch.stack(scores).sum(0)


class Exits(nn.Module):
    """A ResNet with an internal classifier behind each of its first three stages (PKD)."""

    def __init__(self, build: Callable[..., ResNet], channels: int, classes: int) -> None:
        super().__init__()
        self.backbone = resnet(build, channels, classes)
        last = self.backbone.fc.in_features
        exits = []
        for width, kernel in zip((last // 8, last // 4, last // 2), (7, 7, 3), strict=True):
            conv = nn.Conv2d(width, width, kernel, padding=1, bias=False)
            head = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * width, classes))
            exits.append(nn.Sequential(conv, nn.BatchNorm2d(width), head))
        self.exits = nn.ModuleList(exits)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Scores of every exit [B, classes], the last layer's at the end."""
        net, scores = self.backbone, []
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        for stage, leave in zip((net.layer1, net.layer2, net.layer3), self.exits, strict=True):
            x = stage(x)
            scores.append(leave(x))
        return [*scores, net.fc(net.layer4(x).mean(dim=(2, 3)))]


def context_network() -> nn.Module:
    """DMC-Net's generator of motion cues: seven dilated convolutions at full resolution (authors' ContextNetwork)."""
    widths, dilations = (5, 32, 128, 128, 96, 64, 32, 2), (1, 2, 4, 8, 16, 1, 1)
    layers: list[nn.Module] = []
    for i, d in enumerate(dilations):
        conv = nn.Conv2d(widths[i], widths[i + 1], 3, padding=d, dilation=d, bias=False)
        layers += [conv, nn.BatchNorm2d(widths[i + 1]), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


_TRIPLET = {"I": 1, "motion": 1, "residual": 1}
_GOP = {"I": 3, "motion": 11, "residual": 11}
_SCRIPT_TEXT = "10 crops of 3 I-frames and 11 P-frames, in place of 8x10 triplets"

COVIAR = Method(
    name="CoViAR",
    source="Wu et al., CVPR 2018",
    parts=tuple(stream(n, b, KINETICS) for n, b in (("I", resnet152), ("motion", resnet18), ("residual", resnet18))),
    protocol=Protocol("8x10 views of one I-frame, motion and residual each", 80, _TRIPLET),
    others=(Protocol(_SCRIPT_TEXT, 10, _GOP, evidence=f"{SCRIPT} for Wu et al. and DMC-Net"),
            Protocol("its authors': 25 frames x 10 crops", 250, _TRIPLET)),
)  # fmt: skip
LIU = Method(
    name="Liu et al.",
    source="Liu et al., cross-modality knowledge distillation for compressed video; backbone of CoViAR",
    parts=COVIAR.parts,
    protocol=COVIAR.protocol,
    others=COVIAR.others,
    filled_in="the student's backbone is taken to be CoViAR's: the paper gives both rows the same parameters and cost",
)
WU = Method(
    name="Wu et al.",
    source="Wu et al., Multi-teacher knowledge distillation for compressed video action recognition, ICASSP 2019",
    parts=(stream("I", resnet18), stream("motion", resnet18), stream("residual", resnet18)),
    protocol=COVIAR.protocol,
    others=(Protocol(_SCRIPT_TEXT, 10, _GOP, evidence=SCRIPT),),
)
TEAM_NET = Method(
    name="TEAM-Net",
    source="Wang et al., BMVC 2021",
    parts=(
        Part("224", partial(TEAMNet, KINETICS), ((1, 3, 224, 224), (1, 2, 224, 224), (1, 3, 224, 224))),
        Part("256", partial(TEAMNet, KINETICS), ((1, 3, 256, 256), (1, 2, 256, 256), (1, 3, 256, 256))),
    ),
    weights=("224",),
    protocol=Protocol("8x10 views at 224", 80, {"224": 1}),
    others=(Protocol("8x10 views at 256, the side that frames are scaled to before the crop", 80, {"256": 1}),),
)
MIMO_PART = Part("joint", partial(resnet, resnet18, 9, 303), ((1, 9, 224, 224),))
MIMO = Method(
    name="MIMO",
    source="Terao et al., Efficient compressed video action recognition via late fusion, ICASSP 2023",
    parts=(MIMO_PART, TEAM_NET.parts[1]),
    weights=("joint",),
    protocol=Protocol("8x1 views of one ResNet-18 on all three streams at once (15.4 G per video by its authors)",
                      8, {"joint": 1}),
    stated_gmac=1.925,
    others=(Protocol("ten crops", 80, {"joint": 1}),
            Protocol("the cost of TEAM-Net's row (8x10 views at 256): the two rows agree to 0.2 %", 80, {"256": 1})),
    filled_in="ResNet-18 with nine input channels and three heads; the paper's 37.09 M parameters fit no ResNet-18",
)  # fmt: skip
DMC = Method(
    name="DMC-Net",
    source="Shou et al., CVPR 2019",
    parts=(
        *(
            stream(n, b)
            for n, b in (("I", resnet152), ("motion", resnet18), ("residual", resnet18), ("flow", resnet18))
        ),
        Part("generator", context_network, ((1, 5, 224, 224),)),
    ),
    protocol=Protocol("8x10 views, each with a generated flow", 80, {**_TRIPLET, "generator": 1, "flow": 1}),
    others=(
        Protocol(_SCRIPT_TEXT, 10, {**_GOP, "generator": 11, "flow": 11}, evidence=SCRIPT),
        Protocol("10 crops of 3 I-frames and 11 P-frames, flow left out", 10, _GOP),
    ),
)
PKD = Method(
    name="PKD",
    source="Soufleri et al., CVPR Workshops 2024",
    parts=tuple(
        Part(name, partial(Exits, build, CHANNELS[name], 101), ((1, CHANNELS[name], 224, 224),))
        for name, build in (("I", resnet50), ("motion", resnet18), ("residual", resnet18))
    ),
    protocol=Protocol("3x1 views of one I-frame, motion and residual each", 3, _TRIPLET),
    others=(Protocol("3 views of one I-frame and three P-frames", 3, {"I": 1, "motion": 3, "residual": 3}),
            Protocol("one view of 3 I-frames and 11 P-frames", 1, _GOP)),
    gops=3,
)  # fmt: skip
