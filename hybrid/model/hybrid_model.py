"""The hybrid model whole: two STMs, the spatial modulator, the unified encoder, the mixer and the head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ann_part.embedding import PatchEmbedding, PositionalEncoding, fold
from ann_part.encoder import Encoder
from ann_part.mixer import RRDB, ConvFolding, ConvFusion
from hybrid.model.config import ModelConfig
from hybrid.model.stm import SpikingTemporalModulator

STREAMS = 3
"""I-frame, motion vectors, residuals."""


class HybridModel(nn.Module):
    """Classify GOPs given as (I-frame, motion, residual) of the model's crop."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        stm, ann = config.stm, config.ann
        channels = stm.channels[-1]
        self.stm_motion = SpikingTemporalModulator(2, stm)
        self.stm_residual = SpikingTemporalModulator(3, stm)
        self.embed_iframe = PatchEmbedding(3, ann.dim, ann.patch)
        self.embed_motion = PatchEmbedding(channels, ann.dim, ann.patch // stm.stride)
        self.embed_residual = PatchEmbedding(channels, ann.dim, ann.patch // stm.stride)
        self.position = PositionalEncoding(STREAMS, config.grid, ann.dim)
        self.encoder = Encoder(ann.dim, ann.depth, ann.heads, ann.mlp_ratio, ann.dropout)
        self.folding = ConvFolding(STREAMS * ann.dim, STREAMS, ann.folding_layers)
        self.fusion = ConvFusion(STREAMS * ann.dim, 2 * channels, ann.mixer_channels, ann.patch // stm.stride)
        self.rrdb = nn.Sequential(*(RRDB(ann.mixer_channels, ann.rrdb_growth) for _ in range(ann.rrdb_blocks)))
        self.dropout = nn.Dropout(ann.dropout)
        self.head = nn.Linear(ann.mixer_channels, len(config.classes))

    def forward(self, iframe: Tensor, motion: Tensor, residual: Tensor) -> Tensor:
        """Logits of every GOP.

        Args:
            iframe: [B, 3, S, S], 0 to 1.
            motion: [B, T, 2, S, S], full scale is 1.
            residual: [B, T, 3, S, S], full scale is 1.

        Returns:
            [B, classes].
        """
        return self.classify(iframe, self.stm_motion(motion), self.stm_residual(residual))

    def classify(self, iframe: Tensor, motion: Tensor, residual: Tensor) -> Tensor:
        """Logits [B, classes] from the I-frame [B, 3, S, S] and the STMs' potentials [B, C, s, s]."""
        tokens = torch.cat(
            [self.embed_iframe(iframe - 0.5), self.embed_motion(motion), self.embed_residual(residual)], dim=1
        )
        encoded = self.encoder(self.position(tokens))
        maps = self.folding(fold(encoded, STREAMS, self.config.grid))
        fused = self.rrdb(self.fusion(maps, torch.cat([motion, residual], dim=1)))
        out: Tensor = self.head(self.dropout(fused.mean(dim=(2, 3))))
        return out
