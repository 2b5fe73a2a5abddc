"""The hybrid model whole: temporal modulators, spatial modulator, encoder, mixer and head, in the config's order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ann_part.embedding import PatchEmbedding, PositionalEncoding, fold
from ann_part.encoder import Encoder
from ann_part.mixer import RRDB, AttentionPool, ConvFolding, ConvFusion, PlainFusion
from hybrid.model.config import ModelConfig, StmConfig, unit_of
from hybrid.model.temporal import temporal_modulator

CHANNELS = {"iframe": 3, "motion": 2, "residual": 3}
"""Channels of each stream."""


class HybridModel(nn.Module):
    """Classify GOPs given as (I-frame, motion, residual) of the model's crop."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        ann, streams = config.ann, len(config.modalities)
        stm = _at_tokens(config) if config.order != "T-LS-GS" else config.stm
        self._build_streams(stm)
        self.position = PositionalEncoding(streams, config.grid, ann.dim)
        self.encoder = Encoder(ann.dim, ann.depth, ann.heads, ann.mlp_ratio, ann.dropout, ann.attention, streams)
        high = streams * ann.dim
        self.folding = ConvFolding(high, streams, ann.folding_layers, skips=ann.skips) if ann.mixer else nn.Identity()
        self.low_level = ann.mixer and ann.skips and bool(config.p_streams)
        if self.low_level:
            low = sum(_channels_after(name, config) for name in config.p_streams)
            places = ann.patch // stm.stride if config.order == "T-LS-GS" else 1
            self.fusion: nn.Module = ConvFusion(high, low, ann.mixer_channels, places, ann.mixer_scale)
        else:
            self.fusion = PlainFusion(high, ann.mixer_channels, 3 if ann.mixer else 1, ann.mixer_scale)
        self.rrdb = nn.Sequential(*(RRDB(ann.mixer_channels, ann.rrdb_growth) for _ in range(ann.rrdb_blocks)))
        self.pool = AttentionPool(ann.mixer_channels) if ann.pool == "class_token" else None
        self.dropout = nn.Dropout(ann.dropout)
        self.head = nn.Linear(ann.mixer_channels, len(config.classes))

    def _build_streams(self, stm: StmConfig) -> None:
        config, ann = self.config, self.config.ann
        after = config.order == "T-LS-GS"
        if stm.kind == "common" and config.p_streams:
            bits = max(config.input.motion_bits, config.input.residual_bits)
            self.stm_common = temporal_modulator(CHANNELS["residual"] if after else ann.dim, stm, unit_of(bits))
        for name in config.modalities:
            channels, patch = CHANNELS[name], ann.patch
            if name != "iframe":
                if stm.kind != "common":
                    unit = unit_of(getattr(config.input, f"{name}_bits"))
                    setattr(self, f"stm_{name}", temporal_modulator(channels if after else ann.dim, stm, unit))
                if after:
                    channels, patch = _channels_after(name, config), ann.patch // stm.stride
            setattr(self, f"embed_{name}", PatchEmbedding(channels, ann.dim, patch))

    def forward(self, iframe: Tensor, motion: Tensor, residual: Tensor) -> Tensor:
        """Logits of every GOP.

        Args:
            iframe: [B, 3, S, S], 0 to 1.
            motion: [B, T, 2, S, S], full scale is 1.
            residual: [B, T, 3, S, S], full scale is 1.

        Returns:
            [B, classes].
        """
        values = {"iframe": iframe - 0.5, "motion": motion, "residual": residual}
        streams: dict[str, Tensor] = {name: values[name] for name in self.config.modalities}
        forms = {"T-LS-GS": self._temporal_first, "LS-T-GS": self._local_first, "LS-GS-T": self._spatial_first}
        high, low = forms[self.config.order](streams)
        return self._classify(high, low)

    def _temporal_first(self, streams: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The paper's order: modulate the frames, embed, attend."""
        maps = {name: x if name == "iframe" else self._modulate(name, x) for name, x in streams.items()}
        tokens = [self._embed(name, x) for name, x in maps.items()]
        high = self._encode(torch.cat(tokens, dim=1))
        return high, [maps[name] for name in self.config.p_streams]

    def _local_first(self, streams: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Embed every frame, modulate the token maps, attend."""
        tokens, low = [], []
        for name, x in streams.items():
            if name == "iframe":
                tokens.append(self._embed(name, x))
                continue
            modulated = self._modulate(name, self._frames(name, x))
            low.append(modulated)
            tokens.append(modulated.flatten(2).transpose(1, 2))
        return self._encode(torch.cat(tokens, dim=1)), low

    def _spatial_first(self, streams: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Embed and attend at every step, with the I-frame's tokens at hand, then modulate the token maps."""
        steps, dim = self.config.input.steps, self.config.ann.dim
        rows, columns = self.config.grid
        tokens = []
        for name, x in streams.items():
            if name == "iframe":
                one = self._embed(name, x)
                tokens.append(one[:, None].expand(-1, steps, -1, -1).reshape(-1, rows * columns, dim))
            else:
                tokens.append(self._embed(name, x.flatten(0, 1)))
        maps = self._encode(torch.cat(tokens, dim=1)).reshape(-1, steps, len(streams), dim, rows, columns)
        done, low = [], []
        for i, name in enumerate(streams):
            done.append(maps[:, :, i].mean(dim=1) if name == "iframe" else self._modulate(name, maps[:, :, i]))
            if name != "iframe":
                low.append(done[-1])
        return torch.cat(done, dim=1), low

    def _modulate(self, name: str, values: Tensor) -> Tensor:
        if self.config.stm.kind != "common":
            out: Tensor = getattr(self, f"stm_{name}")(values)
            return out
        shared: Tensor = self.stm_common(values)
        return shared

    def _embed(self, name: str, maps: Tensor) -> Tensor:
        out: Tensor = getattr(self, f"embed_{name}")(maps)
        return out

    def _frames(self, name: str, frames: Tensor) -> Tensor:
        """Frames [B, T, C, S, S] to token maps [B, T, dim, rows, columns]."""
        tokens = self._embed(name, frames.flatten(0, 1)).transpose(1, 2)
        return tokens.reshape(-1, self.config.input.steps, self.config.ann.dim, *self.config.grid)

    def _encode(self, tokens: Tensor) -> Tensor:
        """Tokens [B, streams * N, dim] to maps [B, streams * dim, rows, columns]."""
        return fold(self.encoder(self.position(tokens)), len(self.config.modalities), self.config.grid)

    def _classify(self, high: Tensor, low: list[Tensor]) -> Tensor:
        """Logits [B, classes] from the encoder's maps and the temporal modulators'."""
        folded = self.folding(high)
        fused = self.fusion(folded, torch.cat(low, dim=1)) if self.low_level else self.fusion(folded)
        refined = self.rrdb(fused)
        pooled = refined.mean(dim=(2, 3)) if self.pool is None else self.pool(refined)
        out: Tensor = self.head(self.dropout(pooled))
        return out


def _channels_after(name: str, config: ModelConfig) -> int:
    """Channels of a stream's map behind its temporal modulator."""
    if config.order != "T-LS-GS":
        return config.ann.dim
    return CHANNELS[name] if config.stm.kind == "none" else config.stm.channels[-1]


def _at_tokens(config: ModelConfig) -> StmConfig:
    """The STM on token maps: one layer per layer of the config's, as wide as a token where it is read out."""
    channels = (*config.stm.channels[:-1], config.ann.dim)
    return config.stm.model_copy(update={"channels": channels, "strides": (1,) * len(channels)})
