"""The spiking temporal modulator: ConvLIF layers over the P-frames of a GOP."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from hybrid.model.config import StmConfig
from hybrid.model.scan import gradients, scan, spikes_of
from snn_export.network import ACCUMULATOR_LIMIT
from snn_export.quantize import WEIGHT_LIMIT


class LIFScan(torch.autograd.Function):
    """All time steps of a layer of LIF neurons as one operation with a backward pass of its own.

    Autograd over the same loop gives the same gradients, but keeps and walks some twenty tensors a step; this keeps
    the potentials only.
    """

    @staticmethod
    def forward(ctx: Any, current: Tensor, keep: Tensor, threshold: Tensor, width: float, reset: str) -> Tensor:
        """Spikes [B, T, ...] for input currents [B, T, ...]."""
        potentials, spikes = scan(current, keep, threshold, reset)
        ctx.save_for_backward(current, keep, threshold, potentials, spikes)
        ctx.width, ctx.reset = width, reset
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Gradients of the currents, the leak and the threshold, back through time."""
        current, keep, threshold, potentials, spikes = ctx.saved_tensors
        found = gradients(grads[0], current, keep, threshold, potentials, spikes, ctx.width, ctx.reset)
        return *found, None, None


def lif_scan(current: Tensor, keep: Tensor, threshold: Tensor, width: float, reset: str) -> Tensor:
    """Spikes [B, T, ...] of LIF neurons for input currents [B, T, ...], from zero state; may overwrite them."""
    # an exported program holds operators that change nothing, and any batch; torch has a flag for each way to export
    exporting = torch.compiler.is_compiling() or torch.compiler.is_dynamo_compiling()
    if not torch.is_grad_enabled() and not exporting:
        return spikes_of(current, keep, threshold, reset)
    spikes: Tensor = LIFScan.apply(current, keep, threshold, width, reset)  # type: ignore[no-untyped-call]
    return spikes


class ConvLIF(nn.Module):
    """A convolution into leaky integrate-and-fire neurons, over T steps from zero state.

    The membrane is norse's leaky integrator with dt = 1: ``v = keep * v + (1 - keep) * conv(s)``; leak and
    threshold are learned, one each per layer. Both stay in range by a smooth parametrisation: keep is a
    sigmoid, the threshold a softplus. For a chip, the factor ``1 - keep`` is folded into the weights.

    Attributes:
        quantised: compute with the constants rounded as `snn_export.quantize` rounds them; gradients pass
            straight through (Bengio et al., 2013).
    """

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int, config: StmConfig, *, unit: float, readout: bool
    ) -> None:
        """Build a layer; `unit` is the real value of one integer of its input, 1 for spikes."""
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
        learned = config.kind != "fixed"
        leak, threshold = math.log(config.leak / (1 - config.leak)), math.log(math.expm1(config.threshold))
        self.keep_logit = nn.Parameter(torch.tensor(leak), requires_grad=learned)
        self.threshold_raw = nn.Parameter(torch.tensor(threshold), requires_grad=learned)
        self.reset, self.width, self.unit, self.readout = config.reset, config.surrogate_width, unit, readout
        self.quantised = False

    @property
    def keep(self) -> Tensor:
        """Share of the potential kept per step, in (0, 1)."""
        return torch.sigmoid(self.keep_logit)

    @property
    def threshold(self) -> Tensor:
        """Firing threshold, above 0."""
        return nn.functional.softplus(self.threshold_raw)

    def forward(self, values: Tensor) -> Tensor:
        """Run all steps.

        Args:
            values: [B, T, C, H, W], spikes or analog values.

        Returns:
            Spikes [B, T, C', H', W'], or the last potential [B, C', H', W'] of a read-out.
        """
        weight, keep, threshold = self.constants()
        current = self.current(values, weight)
        if not self.readout:
            return lif_scan(current, keep, threshold, self.width, self.reset)
        # norse brings matplotlib along: a second of every command that only looks at the class
        from norse.torch.functional.leaky_integrator_box import LIBoxParameters, LIBoxState, li_box_feed_forward_step

        membrane = LIBoxParameters(tau_mem_inv=1 - keep, v_leak=torch.zeros((), device=values.device))
        state = LIBoxState(torch.zeros_like(current[:, 0]))
        for t in range(current.shape[1]):
            _, state = li_box_feed_forward_step(current[:, t], state, membrane, dt=1.0)
        return torch.as_tensor(state.v)

    def current(self, values: Tensor, weight: Tensor) -> Tensor:
        """The convolution of every step, [B, T, C', H', W']; fewer channels than weights meet the first weights."""
        steps, channels = values.shape[1:3]
        conv = self.conv
        current = nn.functional.conv2d(values.flatten(0, 1), weight[:, :channels], None, conv.stride, conv.padding)
        return current.reshape(-1, steps, *current.shape[1:])

    def constants(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weight, keep and threshold as the forward pass takes them."""
        weight, keep, threshold = self.conv.weight, self.keep, self.threshold
        if not self.quantised:
            return weight, keep, threshold
        step = self._step(weight.detach())
        unit = step * (1 - keep.detach()) * self.unit
        whole = _rounded(keep, torch.tensor(2.0**-12))
        # the factor 1 - keep is folded into the weights before they and keep are rounded
        gain = ((1 - keep) / (1 - whole)).detach()
        return _rounded(weight, step) * gain, whole, _rounded(threshold, unit)

    def _step(self, weight: Tensor) -> Tensor:
        """The real value of one integer weight: int8, and no sum of inputs may reach the accumulator's limit."""
        low, high = (0.0, 1.0) if self.unit == 1.0 else (-1 / self.unit, 1 / self.unit - 1)
        step = weight.abs().max() / WEIGHT_LIMIT
        while True:
            whole = (weight / step).round().flatten(1)
            positive, negative = whole.clamp_min(0).sum(1), whole.clamp_max(0).sum(1)
            reach = torch.maximum(positive * high + negative * low, -positive * low - negative * high).max()
            if reach < ACCUMULATOR_LIMIT:
                return step
            step = step * (reach / (ACCUMULATOR_LIMIT - 1) * (1 + 1e-3))


def _rounded(x: Tensor, step: Tensor) -> Tensor:
    """The nearest multiple of `step`; its gradient is that of x."""
    return x + ((x / step).round() * step - x).detach()


class SpikingTemporalModulator(nn.Sequential):
    """ConvLIF layers in a row; the last one's potential after the last step is the output."""

    def __init__(self, channels: int, config: StmConfig, unit: float) -> None:
        """Build the layers; `unit` is the real value of one integer of the input."""
        layers = []
        last = len(config.channels) - 1
        for i, (out, stride) in enumerate(zip(config.channels, config.strides, strict=True)):
            layers.append(ConvLIF(channels, out, config.kernel, stride, config, unit=unit, readout=i == last))
            channels, unit = out, 1.0
        super().__init__(*layers)
