"""What events cost in energy and time, for the two kinds of chip clocking.

A field's name begins with its dimension: `energy_`, `time_` or `power_`; a quantity of another dimension is
refused. A constant that a source does not price is written as zero with that reason as its source, never
left out.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hwsim.quantity import Quantity

KINDS = ("conv", "dense", "sparse")
"""Kinds of connections that are priced apart: convolutions and pooling, matrices, lists of synapses."""


class _Costs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    power_static: Quantity = Field(description="drawn by one chip all the time")

    @model_validator(mode="after")
    def _dimensions(self) -> _Costs:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Quantity) and not name.startswith(value.dimension):
                raise ValueError(f"{name} is given in {value.unit}, a unit of {value.dimension}")
        return self


class Sync(BaseModel):
    """The barrier that ends a step, from this number of mapped tiles on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiles: int = Field(ge=1, description="smallest number of mapped tiles that this entry holds for")
    time: Quantity = Field(description="added to every step")


class BarrierCosts(_Costs):
    """Constants of a chip whose steps end at a barrier (Loihi): a step lasts as long as its busiest core or link."""

    timing: Literal["barrier"]
    energy_synapse_conv: Quantity = Field(description="per synaptic operation of a convolution")
    energy_synapse_dense: Quantity = Field(description="per synaptic operation of a dense connection")
    energy_synapse_sparse: Quantity = Field(description="per synaptic operation of a list of synapses")
    energy_neuron_update: Quantity = Field(description="per mapped neuron and step")
    energy_neuron_active: Quantity = Field(description="more, where the neuron has state, bias or input")
    energy_spike: Quantity = Field(description="more, where the neuron fires")
    energy_packet: Quantity = Field(description="per packet sent to a core")
    energy_packet_in: Quantity = Field(description="per packet received by a core")
    energy_hop_ew: Quantity = Field(description="per packet and tile crossed east or west")
    energy_hop_ns: Quantity = Field(description="per packet and tile crossed north or south")
    time_synapse_conv: Quantity = Field(description="per synaptic operation of a convolution")
    time_synapse_dense: Quantity = Field(description="per synaptic operation of a dense connection")
    time_synapse_sparse: Quantity = Field(description="per synaptic operation of a list of synapses")
    time_neuron_update: Quantity = Field(description="per mapped neuron and step")
    time_neuron_active: Quantity = Field(description="more, where the neuron has state, bias or input")
    time_spike: Quantity = Field(description="more, where the neuron fires")
    time_packet: Quantity = Field(description="per packet sent to a core")
    time_packet_in: Quantity = Field(description="per packet received by a core")
    time_hop_ew: Quantity = Field(description="that a packet holds a link to the east or west")
    time_hop_ns: Quantity = Field(description="that a packet holds a link to the north or south")
    sync: tuple[Sync, ...] = Field(min_length=1, description="in order of tiles, the first from 1 tile on")

    @model_validator(mode="after")
    def _sync_ordered(self) -> BarrierCosts:
        tiles = [entry.tiles for entry in self.sync]
        if tiles[0] != 1 or tiles != sorted(set(tiles)):
            raise ValueError(f"sync holds for {tiles} tiles on; start at 1 and ascend")
        if any(entry.time.dimension != "time" for entry in self.sync):
            raise ValueError("sync.time must be a time")
        return self

    def sync_time(self, tiles: int) -> Quantity:
        """The barrier of a network that covers `tiles` tiles: the last entry that begins at or below it."""
        return [entry.time for entry in self.sync if entry.tiles <= tiles][-1]

    @property
    def energy_synapse(self) -> tuple[Quantity, ...]:
        """Energy of a synaptic operation, in the order of `KINDS`."""
        return self.energy_synapse_conv, self.energy_synapse_dense, self.energy_synapse_sparse

    @property
    def time_synapse(self) -> tuple[Quantity, ...]:
        """Time of a synaptic operation, in the order of `KINDS`."""
        return self.time_synapse_conv, self.time_synapse_dense, self.time_synapse_sparse

    @property
    def prices_activity(self) -> bool:
        """Whether an active neuron costs more than an idle one, so that active ones must be counted."""
        return self.energy_neuron_active.high > 0 or self.time_neuron_active.high > 0


class PhaseCosts(_Costs):
    """Constants of a chip that runs in phases of fixed length (Tianjic), whatever the sparsity."""

    timing: Literal["phase"]
    time_phase: Quantity = Field(description="length of one phase; one phase is one step")
    energy_core_phase: Quantity = Field(description="per mapped core and phase")

    @property
    def prices_activity(self) -> bool:
        """An idle neuron costs as much as an active one."""
        return False
