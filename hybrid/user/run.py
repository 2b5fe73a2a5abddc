"""Run a bundle of a user's model on tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ann_part.measure import resolve_device
from hwsim import engine
from hwsim.energy import energy
from hwsim.timing import step_times
from hybrid.bundle import Bundle
from hybrid.errors import BadInputError
from hybrid.report.model import Band
from hybrid.runtime.backends import check_equal, check_names, executors
from hybrid.user.boundary import as_result, port_values
from hybrid.user.model import UserModel

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a run gave.

    Attributes:
        outputs: of the model, on the CPU.
        samples: in the inputs.
        spikes: on the chip.
        synops: synaptic operations on the chip.
        chip_energy_j: of the chip, over all samples.
        chip_time_s: of the chip, over all samples.
        checked: backends that agreed bit for bit; empty where none was compared.
    """

    outputs: tuple[Tensor, ...]
    samples: int
    spikes: int
    synops: int
    chip_energy_j: Band
    chip_time_s: Band
    checked: tuple[str, ...]

    def record(self) -> dict[str, object]:
        """As plain data, without the outputs' values; of a [B, K] output the largest score of each sample."""
        scores = self.outputs[0]
        chosen = scores.argmax(1).tolist() if scores.dim() == 2 else None
        return {
            "samples": self.samples, "outputs": [list(x.shape) for x in self.outputs], "argmax": chosen,
            "counts": {"spikes": self.spikes, "synops": self.synops},
            "chip_energy_j": self.chip_energy_j.model_dump(), "chip_time_s": self.chip_time_s.model_dump(),
            "exact": True if self.checked else None, "checked": list(self.checked),
        }  # fmt: skip


def run_tensors(
    bundle: Bundle,
    inputs: Mapping[str, Tensor],
    *,
    backend: str = "hwsim",
    check: Sequence[str] = (),
    device: str = "auto",
    tell: Tell = lambda what, done, total: None,
) -> Outcome:
    """Run the model: host, chip, host.

    Args:
        bundle: of a user's model.
        inputs: by name, as the model takes them.
        backend: what runs the spiking part.
        check: further backends to compare with, bit for bit, every layer and step.
        device: where the host's part runs: `cpu`, `cuda` or `auto`.
        tell: told (what, done, of how many).

    Raises:
        BadInputError: for an unknown backend, or inputs that the chip cannot take.
        VerificationError: at the first bit in which two backends differ.
        snn_export.lava.LavaError: where Lava was asked for and cannot run.
    """
    check_names((backend, *check))
    network, mapping, chip = bundle.network, bundle.mapping, bundle.manifest.chip
    model, where = user_model(bundle), resolve_device(device)
    values = port_values(network, model, bundle.feed, inputs)
    simulated = engine.run(network, values, mapping)
    if simulated.counts is None:
        raise RuntimeError("the simulator was given a mapping and counted nothing")
    with executors(network, where.type) as executor:
        recording = simulated.recording if backend == "hwsim" else executor(backend)(values, None)
        for other in dict.fromkeys(check):
            if other != backend:
                tell(other, 0, 1)
                found = executor(other)(values, partial(tell, other))
                check_equal(network, recording, found, (backend, other))
    given = [
        as_result(network, recording, name, model.shapes[name], model.delays.get(name, 0))
        if name in model.shapes
        else inputs[name]
        for name in bundle.manifest.host_inputs
    ]
    with torch.no_grad():
        result = bundle.ann.to(where)(*(x.to(where) for x in given))
    outputs = tuple(x.cpu() for x in (result if isinstance(result, (tuple, list)) else (result,)))
    timing = step_times(chip, mapping, simulated.counts)
    joules = energy(chip, mapping, simulated.counts, timing)
    return Outcome(
        outputs, next(iter(values.values())).shape[0], int(simulated.counts.spikes.sum()),
        int(simulated.counts.synops.sum()), Band.of(joules.total), Band.of(timing.total),
        tuple(dict.fromkeys((backend, *check))) if check else (),
    )  # fmt: skip


def user_model(bundle: Bundle) -> UserModel:
    """The description of the user's model in a bundle.

    Raises:
        BadInputError: for a bundle of the video model.
    """
    if not isinstance(bundle.manifest.model, UserModel):
        raise BadInputError("bundle", "it holds a video model", "give it videos")
    return bundle.manifest.model
