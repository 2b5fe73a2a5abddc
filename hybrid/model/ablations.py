"""The rows of the paper's ablation tables, each as changes to a config (`load_config(name, ABLATIONS[row])`)."""

from __future__ import annotations

FULL = "full model"

ABLATIONS: dict[str, tuple[str, ...]] = {
    FULL: (),
    "I + MV": ('modalities=["iframe", "motion"]',),
    "I + R": ('modalities=["iframe", "residual"]',),
    "MV + R": ('modalities=["motion", "residual"]',),
    "I": ('modalities=["iframe"]',),
    "MV": ('modalities=["motion"]',),
    "R": ('modalities=["residual"]',),
    "order LS-GS-T": ("order=LS-GS-T",),
    "order LS-T-GS": ("order=LS-T-GS",),
    "cross attention": ("ann.attention=cross",),
    "separate attention": ("ann.attention=separate",),
    "without STM": ("stm.kind=none",),
    "common STM": ("stm.kind=common",),
    "ConvLSTM": ("stm.kind=convlstm",),
    "fixed leak and threshold": ("stm.kind=fixed",),
    "without accumulation": ("input.accumulated=false",),
    "without mixer": ("ann.mixer=false",),
    "without skips": ("ann.skips=false",),
    "without RRDB": ("ann.rrdb_blocks=0",),
    "class token": ("ann.pool=class_token",),
}
