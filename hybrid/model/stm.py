"""The spiking temporal modulator: ConvLIF layers over the P-frames of a GOP."""

from __future__ import annotations

import math
from typing import Any

import torch
from norse.torch.functional.leaky_integrator_box import LIBoxParameters, LIBoxState, li_box_feed_forward_step
from torch import Tensor, nn

from hybrid.model.config import StmConfig


class AtanSpike(torch.autograd.Function):
    """Heaviside step with the derivative of the arctangent as surrogate gradient.

    With width a: ``d/dx = (a / 2) / (1 + (pi / 2 * a * x)^2)``, the ATan surrogate of Fang et al., ICCV 2021.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, width: float) -> Tensor:
        """1 where x > 0, else 0."""
        ctx.save_for_backward(x)
        ctx.width = width
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """The surrogate gradient."""
        (x,) = ctx.saved_tensors
        return grads[0] * (ctx.width / 2) / (1 + (math.pi / 2 * ctx.width * x).square()), None


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
        membrane = LIBoxParameters(tau_mem_inv=1 - self.keep, v_leak=torch.zeros((), device=values.device))
        threshold = self.threshold
        state = LIBoxState(torch.zeros_like(current[:, 0]))
        spikes = []
        for t in range(steps):
            v, state = li_box_feed_forward_step(current[:, t], state, membrane, dt=1.0)
            if self.readout:
                continue
            fired: Tensor = AtanSpike.apply(v - threshold, self.width)  # type: ignore[no-untyped-call]
            spikes.append(fired)
            if self.reset == "soft":
                state = LIBoxState(v - fired * threshold)
            elif self.reset == "zero":
                state = LIBoxState(v * (1 - fired))
        if self.readout:
            return torch.as_tensor(state.v)
        return torch.stack(spikes, dim=1)


class SpikingTemporalModulator(nn.Sequential):
    """ConvLIF layers in a row; the last one's potential after the last step is the output."""

    def __init__(self, channels: int, config: StmConfig) -> None:
        layers = []
        last = len(config.channels) - 1
        for i, (out, stride) in enumerate(zip(config.channels, config.strides, strict=True)):
            layers.append(ConvLIF(channels, out, config.kernel, stride, config, readout=i == last))
            channels = out
        super().__init__(*layers)
