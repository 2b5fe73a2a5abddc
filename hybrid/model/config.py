"""The model's configuration: a frozen, validated TOML file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hybrid.errors import BadInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[int, Field(gt=0, le=2**16)]
"""A size; the limits are far above any model, and keep a damaged file from asking for all memory."""
Repeats = Annotated[int, Field(gt=0, le=1000)]
"""A number of layers or blocks."""
Modality = Literal["iframe", "motion", "residual"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputConfig(_Record):
    """How a GOP becomes arrays.

    Attributes:
        resize: length of the short side after resizing, in pixels.
        crop: side of the square that enters the model, in pixels.
        steps: P-frames per GOP, one per time step.
        views: GOPs per video whose predictions are averaged.
        motion_bits: bits of a motion value, sign included.
        motion_range: displacement at full scale, in pixels of the resized picture.
        residual_bits: bits of a residual value, sign included.
        residual_range: residual at full scale, in grey levels.
        accumulated: P-frames traced back to the I-frame; False for raw ones, each against the frame before it.
    """

    resize: Positive
    crop: Positive
    steps: Positive
    views: Positive
    motion_bits: int = Field(ge=2, le=16)
    motion_range: float = Field(gt=0)
    residual_bits: int = Field(ge=2, le=16)
    residual_range: float = Field(gt=0)
    accumulated: bool = True

    @model_validator(mode="after")
    def _crop_fits(self) -> InputConfig:
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}")
        return self


def unit_of(bits: int) -> float:
    """Real value of one integer of a signed input of `bits`: full scale is 1."""
    return 1.0 / float(2 ** (bits - 1))


class StmConfig(_Record):
    """One temporal modulator; motion and residuals have one each.

    Attributes:
        kind: `learned`, spiking with learned leak and threshold; `fixed`, spiking with those it starts with;
            `common`, one learned for both streams; `convlstm`, convolutional LSTMs of the same sizes; `none`,
            the mean over the P-frames.
        channels: channels of each ConvLIF layer; the last one is the read-out.
        strides: stride of each layer.
        kernel: side of the kernels.
        reset: what a spike does to the membrane potential.
        surrogate_width: width of the arctangent surrogate gradient.
        leak: share of the potential kept per step, before training.
        threshold: firing threshold, before training.
    """

    kind: Literal["learned", "fixed", "common", "convlstm", "none"] = "learned"
    channels: tuple[Positive, ...] = Field(min_length=1)
    strides: tuple[Positive, ...] = Field(min_length=1)
    kernel: Positive
    reset: Literal["soft", "zero", "none"]
    surrogate_width: float = Field(gt=0)
    leak: float = Field(gt=0, lt=1)
    threshold: float = Field(gt=0)

    @model_validator(mode="after")
    def _one_stride_per_layer(self) -> StmConfig:
        if len(self.channels) != len(self.strides):
            raise ValueError(f"{len(self.channels)} channels but {len(self.strides)} strides")
        return self

    @property
    def stride(self) -> int:
        """Pixels per place of the output map."""
        if self.kind == "none":
            return 1
        product = 1
        for stride in self.strides:
            product *= stride
        return product


class AnnConfig(_Record):
    """Everything after the STM.

    Attributes:
        patch: side of a patch, in pixels of the picture.
        dim: width of a token.
        depth: transformer blocks.
        heads: attention heads.
        attention: `unified`, all tokens of all streams together; `separate`, first the tokens of a stream, then
            those of a place; `cross`, first the tokens of a stream, then those of the other streams.
        mlp_ratio: width of the block's MLP over `dim`.
        dropout: share dropped in training.
        mixer: fold and fuse by convolutions; False leaves a pointwise map of the tokens.
        skips: skips around the folding convolutions, and from the temporal modulators to the fusion.
        folding_layers: overlapping convolutions per stream after token folding.
        mixer_channels: channels of the fused map.
        mixer_scale: places of the fused map per side of a patch.
        rrdb_growth: channels that each dense convolution of the RRDB adds.
        rrdb_blocks: number of RRDBs; 0 for none.
        pool: `average` over all places, or a learned `class_token` that attends to them.
    """

    patch: Positive
    dim: Positive
    depth: Repeats
    heads: Positive
    attention: Literal["unified", "separate", "cross"] = "unified"
    mlp_ratio: Positive
    dropout: float = Field(ge=0, lt=1)
    mixer: bool = True
    skips: bool = True
    folding_layers: Repeats
    mixer_channels: Positive
    mixer_scale: Positive = 1
    rrdb_growth: Positive
    rrdb_blocks: int = Field(ge=0, le=1000)
    pool: Literal["average", "class_token"] = "average"

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> AnnConfig:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
        if self.patch % self.mixer_scale:
            raise ValueError(f"patch {self.patch} is not divisible by mixer_scale {self.mixer_scale}")
        return self


class TrainingConfig(_Record):
    """How the model is trained.

    Attributes:
        epochs: passes over the training clips.
        batch: clips per step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's, on matrices and kernels.
        label_smoothing: share of the label spread over the other classes.
        iframe_dropout: share of clips whose I-frames are blanked, so that places are not learned for actions.
        scales: sides of the random crop as shares of `resize` (TSN's scale jitter); vectors scale along.
        later_starts: train on re-encoded copies of each clip too, whose GOPs begin at other frames.
        quantised_from: share of the epochs after which the STM computes with the weights, leaks and thresholds of
            its integer form; 1 for never.
    """

    epochs: Positive
    batch: Positive
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    label_smoothing: float = Field(ge=0, lt=1)
    iframe_dropout: float = Field(ge=0, lt=1)
    scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(min_length=1)
    later_starts: bool = False
    quantised_from: float = Field(default=1.0, ge=0, le=1)


class ModelConfig(_Record):
    """The whole model.

    Attributes:
        name: shown in reports.
        classes: labels in the order of the classifier's outputs.
        modalities: the streams that the model looks at.
        order: of the temporal (T: the STM), local spatial (LS: the patch embedding) and global spatial (GS: the
            transformer) parts.
        input: how a GOP becomes arrays.
        stm: the spiking temporal modulators.
        ann: everything after them.
        training: how it is trained.
    """

    name: str
    classes: tuple[str, ...] = Field(min_length=2)
    modalities: tuple[Modality, ...] = Field(default=("iframe", "motion", "residual"), min_length=1)
    order: Literal["T-LS-GS", "LS-T-GS", "LS-GS-T"] = "T-LS-GS"
    input: InputConfig
    stm: StmConfig
    ann: AnnConfig
    training: TrainingConfig

    @model_validator(mode="after")
    def _parts_fit(self) -> ModelConfig:
        if self.modalities != tuple(sorted(set(self.modalities))):
            raise ValueError(f"modalities {self.modalities} are not in the order iframe, motion, residual, each once")
        patch, stride = self.ann.patch, self.stm.stride
        if self.order != "T-LS-GS":
            return self
        if patch % stride:
            raise ValueError(f"patch {patch} is not a multiple of the STM's stride {stride}")
        if (patch // stride) % self.ann.mixer_scale and self.p_streams:
            raise ValueError(f"mixer_scale {self.ann.mixer_scale} does not divide {patch // stride} STM places a patch")
        return self

    @property
    def p_streams(self) -> tuple[Modality, ...]:
        """The modalities with a temporal modulator."""
        return tuple(name for name in self.modalities if name != "iframe")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        side = -(-self.input.crop // self.ann.patch)
        return side, side


def load_config(name_or_path: str | Path, changes: Sequence[str] = ()) -> ModelConfig:
    """Read a config by the name of a shipped one (`tiny`, `base`, `large`) or the path of a TOML file.

    Args:
        name_or_path: of the config.
        changes: `key=value` with a dotted key and a TOML value, such as `stm.kind="none"`; quotes may be left out.

    Raises:
        BadInputError: where the file is missing or a value is wrong, naming the key.
    """
    shipped = resources.files("hybrid.model") / "configs" / f"{name_or_path}.toml"
    source = shipped if shipped.is_file() else Path(name_or_path)
    try:
        data = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(
            str(name_or_path), "there is no such config", "use `tiny`, `base`, `large`, or the path of a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(str(name_or_path), f"not TOML: {error}", "correct that line") from error
    for change in changes:
        _apply(data, change)
    return validate_config(data, str(name_or_path))


def validate_config(data: object, where: str) -> ModelConfig:
    """Validate plain data as a config; `where` names its origin in the error.

    Raises:
        BadInputError: naming the key and what is wrong with it.
    """
    try:
        return ModelConfig.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the config"
        raise BadInputError(where, f"{key}: {first['msg']}", "correct this value") from error


def _apply(data: dict[str, Any], change: str) -> None:
    key, sign, text = change.partition("=")
    *path, last = key.strip().split(".")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word
    for name in path:
        data = data.get(name, {})
    if not sign or not isinstance(data, dict) or (path and not data):
        raise BadInputError(f"--set {change}", "this is no key=value of the config", "write it as stm.kind=none")
    data[last] = value
