"""Our model as it is deployed, and as eager torch, on the views of a real clip."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, fx

from ann_part.precision import Precision, precise
from ann_part.program import build, export_program
from ann_part.race import relative_error
from ann_part.tuned import Tuned
from benchmarks.speed.row import Row, Work
from hwsim.engine import Engine
from hybrid.graph import trace
from hybrid.model import HybridModel, load_config
from hybrid.model.checkpoint import load_checkpoint
from hybrid.model.inputs import INPUT_NAMES, chip_values, input_ports, to_tensors
from hybrid.model.integer import LayerByLayer
from hybrid.partition.extract import chip_layers, example_inputs, host_module
from hybrid.runtime.boundary import host_values
from hybrid.runtime.clip import load_clip
from hybrid.shipped import CHECKPOINT, CLIPS
from hybrid.training.initialise import scale_to_firing_rate
from hybrid.video.transform import Views
from snn_export.network import IntArray
from snn_export.quantize import quantize


class Ours:
    """A model on a device in both forms.

    Args:
        config: name of a shipped config, with random weights; or `trained`, the shipped checkpoint.
        device: where it runs.
        compiled: let torch's compiler take part in the race of the ANN part's forms.
    """

    def __init__(self, config: str, device: torch.device, *, compiled: bool = False) -> None:
        torch.manual_seed(0)
        trained = config == "trained"
        model = load_checkpoint(CHECKPOINT).model if trained else HybridModel(load_config(config)).eval()
        self.name, self.device, self.settings = config, device, model.config.input
        self.views = load_clip(CLIPS[0], self.settings)
        inputs = to_tensors(self.views, self.settings)
        if not trained:
            scale_to_firing_rate(model, *inputs)
        graph = trace(model, tuple(x[:2] for x in inputs))
        on_chip = [op.name for op in graph.ops.values() if op.spiking]
        self.network = quantize(input_ports(self.settings), chip_layers(graph, on_chip))
        module, self.names = host_module(graph, on_chip)
        example = example_inputs(graph, self.names, {n: x[:2] for n, x in zip(INPUT_NAMES, inputs, strict=True)})
        program = build(export_program(module, example))
        if not isinstance(program, fx.GraphModule):
            raise TypeError("a program is a graph")
        self.program = program.to(device)
        self.tuned = Tuned(self.program, compiled=compiled)
        self.gmac = sum(op.macs for op in graph.ops.values()) * self.settings.views / 1e9
        self.model = model.to(device)
        on_cpu = device.type == "cpu"
        self._engine = Engine(self.network) if on_cpu else None
        self._layers = None if on_cpu else LayerByLayer(self.network, device)

    def rows(self, precisions: tuple[Precision, ...], batches: tuple[int, ...]) -> list[Row]:
        """Deployed in each precision, and eager; the spiking part is exact integers in the former."""
        count, gmac = self.settings.views, self.gmac
        rows = [
            Row(f"ours, {self.name}: exact STM, ANN in {p}", count, gmac, partial(self._deployed, p), batches)
            for p in precisions
        ]
        return [*rows, Row(f"ours, {self.name}: eager float model", count, gmac, self._eager, batches)]

    def crossing(self, views: Views) -> tuple[Tensor, ...]:
        """The spiking part: the ANN part's inputs on the device."""
        inputs: Mapping[str, IntArray] = chip_values(self.network, views)
        if self._engine is not None:
            recording = self._engine.run(inputs, "readout").recording
            return host_values(self.network, recording, views, self.settings, self.names)
        assert self._layers is not None
        found = self._layers.readouts(inputs)
        own = dict(zip(INPUT_NAMES, to_tensors(views, self.settings), strict=True))
        return tuple(found[n] if n in found else own[n].to(self.device) for n in self.names)

    def answer(self, views: Views, precision: Precision) -> Tensor:
        """Logits of every view as they are deployed."""
        return self.finish(self.crossing(views), precision)

    def finish(self, values: tuple[Tensor, ...], precision: Precision) -> Tensor:
        """The ANN part alone, from what `crossing` gives."""
        with torch.inference_mode(), precise(precision, self.device):
            return self.tuned(*values).float()

    def agreement(self, precision: Precision) -> dict[str, float]:
        """Of the tuned ANN part in a precision with the given program in fp32, over all views of the shipped clips."""
        same, worst, total = 0, 0.0, 0
        for clip in CLIPS:
            values = self.crossing(load_clip(clip, self.settings))
            found = self.finish(values, precision)
            with torch.inference_mode():
                exact = self.program(*values)
            same += int((exact.argmax(1) == found.argmax(1)).sum())
            worst, total = max(worst, relative_error(found, exact)), total + len(exact)
        return {"views": total, "same answer": same, "largest error": worst}

    def _deployed(self, precision: Precision, batch: int) -> Work:
        views = self.repeated(batch)
        return lambda: self.answer(views, precision)

    def _eager(self, batch: int) -> Work:
        inputs = [x.to(self.device) for x in to_tensors(self.repeated(batch), self.settings)]
        return lambda: self.model(*inputs)

    def repeated(self, batch: int) -> Views:
        """So many views, the clip's own again and again."""
        places = np.arange(batch) % len(self.views.iframe)
        return Views(self.views.iframe[places], self.views.motion[places], self.views.residual[places])
