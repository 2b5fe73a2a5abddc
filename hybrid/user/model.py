"""What a bundle says of a user's model: its inputs, and what passes between host and chip."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hybrid.user.inputs import ModelInput


class UserModel(BaseModel):
    """A user's model, as the manifest describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="what it was compiled from: a factory, or a file")
    inputs: tuple[ModelInput, ...] = Field(description="of the model")
    fed: tuple[str, ...] = Field(description="ports whose values the host computes, in the order of the feed program")
    feed_inputs: tuple[str, ...] = Field(description="inputs of the feed program, in order")
    outputs: int = Field(description="tensors that the model gives")
    shapes: dict[str, tuple[int, ...]] = Field(description="per layer that the host takes: shape for one sample")
    delays: dict[str, int] = Field(description="per such layer, steps that the host has it late, where that is not 0")
    flipped: float = Field(description="share of the chip's results that differ between model and float network")
