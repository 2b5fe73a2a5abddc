"""The models, one page per family of architectures, each with its source."""

from benchmarks.tables.method import Method
from benchmarks.tables.zoo import alt, c3d, focal, i3d, mfnet, mmvit, resnets, swin, vidtr, vits

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        alt.METHOD, vidtr.METHOD, resnets.LIU, mfnet.METHOD, resnets.DMC, c3d.CV_C3D, resnets.MIMO, resnets.TEAM_NET,
        resnets.COVIAR, resnets.WU, resnets.PKD, mmvit.METHOD, vits.VIVIT, i3d.METHOD, vits.VIDEOMAE, swin.METHOD,
        focal.METHOD,
    )
}  # fmt: skip
"""Every method of the paper's tables but its own two."""
