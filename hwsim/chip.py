"""Chips: limits of a core, the mesh, and what every event costs, read from TOML.

`load("loihi2")` gives a shipped profile, `load("mine.toml")` a user's own.
"""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwsim.costs import BarrierCosts, PhaseCosts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class ChipError(ValueError):
    """A chip that cannot be found or read, or one used with another chip's mapping.

    Attributes:
        where: the file and the key in it.
        what: what is wrong there.
        fix: how to repair it.
    """

    exit_code = 2

    def __init__(self, where: str, what: str, fix: str) -> None:
        self.where, self.what, self.fix = where, what, fix
        super().__init__(f"{what}\n  where: {where}\n  fix:   {fix}")


class Mesh(BaseModel):
    """The network on chip: a grid of tiles, each with a few cores, XY routing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiles_x: int = Field(ge=1, description="tiles from west to east")
    tiles_y: int = Field(ge=1, description="tiles from north to south")
    cores_per_tile: int = Field(ge=1, description="cores that share a router")

    @property
    def cores(self) -> int:
        """Cores on one chip."""
        return self.tiles_x * self.tiles_y * self.cores_per_tile


class CoreLimits(BaseModel):
    """What one core holds at most; a limit that the chip does not have is left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    neurons: int = Field(ge=1, description="neurons")
    synapse_memory_bytes: int | None = Field(default=None, ge=1, description="memory for weights")
    inputs: int | None = Field(default=None, ge=1, description="distinct source neurons (axons, rows)")
    outputs: int | None = Field(default=None, ge=1, description="pairs of a neuron and a destination core")
    weight_bits: int = Field(ge=1, le=32, description="bits of a weight, sign included")
    shared_convolution: bool = Field(description="a kernel is stored once per core, else unrolled")
    ann_bits: int | None = Field(
        default=None, ge=2, le=8, description="bits of weights and activations of artificial neurons, if it has such"
    )
    source: str = Field(min_length=1, description="where the limits come from")


class Chip(BaseModel):
    """One chip profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="short name, as on the command line")
    title: str = Field(min_length=1, description="one line for reports")
    mesh: Mesh
    core: CoreLimits
    costs: Annotated[BarrierCosts | PhaseCosts, Field(discriminator="timing")]

    @property
    def timing(self) -> Literal["barrier", "phase"]:
        """How steps are clocked."""
        return self.costs.timing


def names() -> tuple[str, ...]:
    """Names of the shipped profiles, sorted."""
    files = (resources.files("hwsim") / "chips").iterdir()
    return tuple(sorted(file.name[:-5] for file in files if file.name.endswith(".toml")))


def load(name_or_path: str | Path) -> Chip:
    """Read a shipped profile by name, or a TOML file by path.

    Raises:
        ChipError: where there is no such profile or file, or a key is missing, unknown or out of range.
    """
    text = str(name_or_path)
    if text in names():
        file = resources.files("hwsim") / "chips" / f"{text}.toml"
        return parse(file.read_text(encoding="utf-8"), f"{text}.toml")
    path = Path(text)
    if path.suffix == ".toml" or path.is_file():
        try:
            return parse(path.read_text(encoding="utf-8"), text)
        except (OSError, UnicodeDecodeError) as error:
            raise ChipError(text, f"the file cannot be read: {error}", "give the path of a TOML file") from error
    near = difflib.get_close_matches(text, names(), 1, 0.4)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise ChipError(
        text,
        f"there is no chip {text!r}",
        f"{guess}use one of {', '.join(names())}, or the path of a TOML file",
    )


def parse(text: str, where: str) -> Chip:
    """Read a profile from TOML text; `where` names it in errors."""
    try:
        return Chip.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ChipError(where, f"not TOML: {error}", "correct the syntax there") from error
    except ValidationError as error:
        first: Any = error.errors()[0]
        # the discriminator's value is part of pydantic's path, but not of the file's
        keys = [str(k) for i, k in enumerate(first["loc"]) if not (i == 1 and k in ("barrier", "phase"))]
        fixes = {
            "missing": "add the key",
            "extra_forbidden": f"remove the key, or correct its name{_nearest(keys)}",
        }
        line = _line(text, keys)
        raise ChipError(
            f"{where}{f', line {line}' if line else ''}: $.{'.'.join(keys)}",
            first["msg"],
            fixes.get(first["type"], "correct the value; every constant needs 0 <= low <= nominal <= high"),
        ) from error


def _nearest(keys: list[str]) -> str:
    models: dict[str, type[BaseModel]] = {"core": CoreLimits, "mesh": Mesh, "costs": BarrierCosts}
    model = models.get(keys[0], Chip)
    near = difflib.get_close_matches(keys[-1], model.model_fields, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _line(text: str, keys: list[str]) -> int | None:
    """The line of the table or key that `keys` leads to, or of the nearest above it."""
    path, header, found = ".".join(keys), "", None
    entries: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("["):
            header = key = bare.split("]")[0].strip("[ ")
            if bare.startswith("[["):
                header = key = f"{header}.{entries[header]}"
                entries[key.rpartition(".")[0]] += 1
        else:
            key = f"{header}.{bare.split('=')[0].strip()}".lstrip(".")
        if key == path:
            return number
        if key and path.startswith(f"{key}."):
            found = number
    return found
