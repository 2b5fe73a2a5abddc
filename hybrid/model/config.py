"""The model's configuration: a frozen, validated TOML file."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hybrid.errors import BadInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[int, Field(ge=1)]


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
    """

    resize: Positive
    crop: Positive
    steps: Positive
    views: Positive
    motion_bits: int = Field(ge=2, le=16)
    motion_range: float = Field(gt=0)
    residual_bits: int = Field(ge=2, le=16)
    residual_range: float = Field(gt=0)

    @model_validator(mode="after")
    def _crop_fits(self) -> InputConfig:
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}")
        return self


class StmConfig(_Record):
    """One spiking temporal modulator; motion and residuals have one each.

    Attributes:
        channels: channels of each ConvLIF layer; the last one is the read-out.
        strides: stride of each layer.
        kernel: side of the kernels.
        reset: what a spike does to the membrane potential.
        surrogate_width: width of the arctangent surrogate gradient.
        leak: share of the potential kept per step, before training.
        threshold: firing threshold, before training.
    """

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
        mlp_ratio: width of the block's MLP over `dim`.
        dropout: share dropped in training.
        folding_layers: overlapping convolutions per stream after token folding.
        mixer_channels: channels of the fused map.
        rrdb_growth: channels that each dense convolution of the RRDB adds.
        rrdb_blocks: number of RRDBs.
    """

    patch: Positive
    dim: Positive
    depth: Positive
    heads: Positive
    mlp_ratio: Positive
    dropout: float = Field(ge=0, lt=1)
    folding_layers: Positive
    mixer_channels: Positive
    rrdb_growth: Positive
    rrdb_blocks: Positive

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> AnnConfig:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not divisible by heads {self.heads}")
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
    """

    epochs: Positive
    batch: Positive
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    label_smoothing: float = Field(ge=0, lt=1)
    iframe_dropout: float = Field(ge=0, lt=1)
    scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(min_length=1)


class ModelConfig(_Record):
    """The whole model.

    Attributes:
        name: shown in reports.
        classes: labels in the order of the classifier's outputs.
        input: how a GOP becomes arrays.
        stm: the spiking temporal modulators.
        ann: everything after them.
        training: how it is trained.
    """

    name: str
    classes: tuple[str, ...] = Field(min_length=2)
    input: InputConfig
    stm: StmConfig
    ann: AnnConfig
    training: TrainingConfig

    @model_validator(mode="after")
    def _patch_covers_stm_places(self) -> ModelConfig:
        if self.ann.patch % self.stm.stride:
            raise ValueError(f"patch {self.ann.patch} is not a multiple of the STM's stride {self.stm.stride}")
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        side = -(-self.input.crop // self.ann.patch)
        return side, side


def load_config(name_or_path: str | Path) -> ModelConfig:
    """Read a config by the name of a shipped one (`tiny`) or the path of a TOML file.

    Raises:
        BadInputError: where the file is missing or a value is wrong, naming the key.
    """
    shipped = resources.files("hybrid.model") / "configs" / f"{name_or_path}.toml"
    source = shipped if shipped.is_file() else Path(name_or_path)
    try:
        data = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(
            str(name_or_path), "there is no such config", "use `tiny`, or the path of a TOML file"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(str(name_or_path), f"not TOML: {error}", "correct that line") from error
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
