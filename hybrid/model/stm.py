"""The spiking temporal modulator: ConvLIF layers over the P-frames of a GOP."""

from __future__ import annotations

import math
from typing import Any

import torch
from norse.torch.functional.leaky_integrator_box import LIBoxParameters, LIBoxState, li_box_feed_forward_step
from torch import Tensor, nn

from hybrid.model.config import StmConfig


def atan_surrogate(x: Tensor, width: float) -> Tensor:
    """Surrogate for the derivative of the Heaviside step: that of the arctangent.

    ``(width / 2) / (1 + (pi / 2 * width * x)^2)``, the ATan surrogate of Fang et al., ICCV 2021.
    """
    slope: Tensor = (width / 2) / (1 + (math.pi / 2 * width * x).square())
    return slope


class LIFScan(torch.autograd.Function):
    """All time steps of a layer of LIF neurons as one operation with a backward pass of its own.

    The steps are norse's leaky integrator, a strict threshold and a reset. Autograd over the same loop gives the
    same gradients, but keeps and walks some twenty tensors a step; this keeps the potentials only.
    """

    @staticmethod
    def forward(ctx: Any, current: Tensor, keep: Tensor, threshold: Tensor, width: float, reset: str) -> Tensor:
        """Spikes [B, T, ...] for input currents [B, T, ...]."""
        membrane = LIBoxParameters(tau_mem_inv=1 - keep, v_leak=torch.zeros((), device=current.device))
        state = LIBoxState(torch.zeros_like(current[:, 0]))
        potentials, spikes = torch.empty_like(current), torch.empty_like(current)
        for t in range(current.shape[1]):
            v, state = li_box_feed_forward_step(current[:, t], state, membrane, dt=1.0)
            fired = (v > threshold).to(v.dtype)
            potentials[:, t], spikes[:, t] = v, fired
            state = LIBoxState(_reset(v, fired, threshold, reset))
        ctx.save_for_backward(current, keep, threshold, potentials, spikes)
        ctx.width, ctx.reset = width, reset
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """Gradients of the currents, the leak and the threshold, back through time."""
        current, keep, threshold, v, spikes = ctx.saved_tensors
        slope = atan_surrogate(v - threshold, ctx.width)
        grad_v, grad_spike = torch.empty_like(v), torch.empty_like(v)
        after = torch.zeros_like(v[:, 0])  # gradient of the potential after the reset
        for t in reversed(range(v.shape[1])):
            fall = {"soft": threshold, "zero": v[:, t], "none": 0.0}[ctx.reset]
            grad_spike[:, t] = grads[0][:, t] - fall * after
            direct = after * (1 - spikes[:, t]) if ctx.reset == "zero" else after
            grad_v[:, t] = direct + grad_spike[:, t] * slope[:, t]
            after = keep * grad_v[:, t]
        before = torch.zeros_like(v)
        before[:, 1:] = _reset(v[:, :-1], spikes[:, :-1], threshold, ctx.reset)
        grad_keep = (grad_v * (before - current)).sum()
        grad_threshold = -(grad_spike * slope).sum()
        if ctx.reset == "soft":  # what a spike takes away is the threshold itself
            grad_threshold = grad_threshold - (grad_v[:, 1:] * keep * spikes[:, :-1]).sum()
        return grad_v * (1 - keep), grad_keep, grad_threshold, None, None


def _reset(v: Tensor, fired: Tensor, threshold: Tensor, reset: str) -> Tensor:
    if reset == "soft":
        return v - fired * threshold
    return v * (1 - fired) if reset == "zero" else v


class ConvLIF(nn.Module):
    """A convolution into leaky integrate-and-fire neurons, over T steps from zero state.

    The membrane is norse's leaky integrator with dt = 1: ``v = keep * v + (1 - keep) * conv(s)``; leak and
    threshold are learned, one each per layer. Both stay in range by a smooth parametrisation: keep is a
    sigmoid, the threshold a softplus. For a chip, the factor ``1 - keep`` is folded into the weights.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int, config: StmConfig, *, readout: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
        self.keep_logit = nn.Parameter(torch.tensor(math.log(config.leak / (1 - config.leak))))
        self.threshold_raw = nn.Parameter(torch.tensor(math.log(math.expm1(config.threshold))))
        self.reset, self.width, self.readout = config.reset, config.surrogate_width, readout

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
        steps = values.shape[1]
        current = self.conv(values.flatten(0, 1))
        current = current.reshape(-1, steps, *current.shape[1:])
        if not self.readout:
            spikes: Tensor = LIFScan.apply(current, self.keep, self.threshold, self.width, self.reset)  # type: ignore[no-untyped-call]
            return spikes
        membrane = LIBoxParameters(tau_mem_inv=1 - self.keep, v_leak=torch.zeros((), device=values.device))
        state = LIBoxState(torch.zeros_like(current[:, 0]))
        for t in range(steps):
            _, state = li_box_feed_forward_step(current[:, t], state, membrane, dt=1.0)
        return torch.as_tensor(state.v)


class SpikingTemporalModulator(nn.Sequential):
    """ConvLIF layers in a row; the last one's potential after the last step is the output."""

    def __init__(self, channels: int, config: StmConfig) -> None:
        layers = []
        last = len(config.channels) - 1
        for i, (out, stride) in enumerate(zip(config.channels, config.strides, strict=True)):
            layers.append(ConvLIF(channels, out, config.kernel, stride, config, readout=i == last))
            channels = out
        super().__init__(*layers)
