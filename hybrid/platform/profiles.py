"""Host and link profiles in TOML, every constant with its band and source."""

from __future__ import annotations

import difflib
import sys
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwsim.quantity import Quantity, Range
from hybrid.errors import BadInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class HostTimes(BaseModel):
    """How long a host takes, for planning; a run measures instead."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_mac: Quantity = Field(description="per multiply-accumulate")
    time_weight_byte: Quantity = Field(description="per byte of weights fetched from memory")
    time_op: Quantity = Field(description="per op, at least: the launch of a kernel")
    power_busy: Quantity = Field(description="drawn while it computes, beside the energies of the profile")


class Host(BaseModel):
    """How the energy of the ANN part is accounted for, and how long it takes where that is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="short name, as on the command line")
    title: str = Field(min_length=1, description="one line for reports")
    energy_mac: Quantity = Field(description="per multiply-accumulate")
    energy_accumulate: Quantity = Field(description="per accumulation without a product")
    energy_weight_byte: Quantity = Field(description="per byte of weights fetched from memory, once per batch")
    times: HostTimes | None = Field(None, description="for planning; without them a latency needs a measurement")
    devices: tuple[str, ...] = Field((), description="names that the driver gives the device that this is about")

    def runs_on(self, device: str) -> bool:
        """Whether the profile is about the device that its driver gives this name; a part of a GPU has another."""
        return self.times is not None and device in self.devices

    def energy(self, macs: int, weight_bytes: int) -> Range:
        """Joules of `macs` multiply-accumulates with `weight_bytes` of weights fetched once."""
        events = self.energy_mac.si * macs + self.energy_weight_byte.si * weight_bytes
        seconds, times = self.time(macs, weight_bytes), self.times
        if seconds is None or times is None:
            return events
        power = times.power_busy.si
        low, nominal, high = power.low * seconds.low, power.nominal * seconds.nominal, power.high * seconds.high
        return events + Range(low, nominal, high)

    def time(self, macs: int, weight_bytes: int) -> Range | None:
        """Seconds of one op: the slower of arithmetic and memory, and no less than its launch; None if unknown."""
        if self.times is None:
            return None
        arithmetic, memory = self.times.time_mac.si * macs, self.times.time_weight_byte.si * weight_bytes
        parts = (arithmetic, memory, self.times.time_op.si)
        return Range(max(x.low for x in parts), max(x.nominal for x in parts), max(x.high for x in parts))


class Link(BaseModel):
    """What joins host and chip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="short name, as on the command line")
    title: str = Field(min_length=1, description="one line for reports")
    energy_bit: Quantity = Field(description="per bit moved")
    time_transfer: Quantity = Field(description="latency of one transfer")
    time_byte: Quantity = Field(description="per byte moved")
    address_bytes: int = Field(ge=1, description="bytes that name the source neuron of one event")

    def energy(self, count: int | float) -> Range:
        """Joules of moving `count` bytes."""
        return self.energy_bit.si * (8 * count)

    def time(self, count: int | float) -> Range:
        """Seconds of one transfer of `count` bytes."""
        return self.time_transfer.si + self.time_byte.si * count


Profile = TypeVar("Profile", Host, Link)


def load_host(name_or_path: str) -> Host:
    """Read a shipped host profile by name, or a TOML file by path.

    Raises:
        BadInputError: where there is none, or a value is wrong.
    """
    return _load(Host, "hosts", name_or_path)


def host_of_device(device: str) -> Host | None:
    """The shipped profile that is about a device, by the name that its driver gives; None where there is none."""
    found = (load_host(name) for name in _shipped("hosts"))
    return next((host for host in found if host.runs_on(device)), None)


def load_link(name_or_path: str) -> Link:
    """Read a shipped link profile by name, or a TOML file by path.

    Raises:
        BadInputError: where there is none, or a value is wrong.
    """
    return _load(Link, "links", name_or_path)


def _shipped(folder: str) -> dict[str, Traversable]:
    files = (resources.files("hybrid.platform") / folder).iterdir()
    return {file.name[:-5]: file for file in files if file.name.endswith(".toml")}


def _load(kind: type[Profile], folder: str, name: str) -> Profile:
    shipped = _shipped(folder)
    source: Traversable = shipped.get(name, Path(name))
    if name not in shipped and not (name.endswith(".toml") and Path(name).is_file()):
        near = difflib.get_close_matches(name, shipped, 1, 0.4)
        guess = f"did you mean {near[0]!r}? " if near else ""
        what = f"there is no {kind.__name__.lower()} profile {name!r}"
        raise BadInputError(name, what, f"{guess}use one of {', '.join(sorted(shipped))}, or the path of a TOML file")
    try:
        return kind.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadInputError(name, f"the profile cannot be read: {error}", "correct the file") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInputError(
            f"{name}: $.{'.'.join(map(str, first['loc']))}", first["msg"], "correct this value"
        ) from error
