"""The Lightning module: segment consensus, Adam with weight decay, cosine schedule."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from hybrid.errors import HybridError
from hybrid.model.hybrid_model import HybridModel
from hybrid.model.stm import ConvLIF
from hybrid.training.dataset import seed_of

WARM_UP = 0.3
"""Share of the steps in which the learning rate rises."""
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


class NotFiniteError(HybridError):
    """A loss that is not a number, or without bound."""


class TrainingModule(lightning.LightningModule):
    """Trains a HybridModel on batches of clips; the clip's logits are the mean over its views."""

    def __init__(self, model: HybridModel, seed: int) -> None:
        super().__init__()
        self.model, self.config, self.seed = model, model.config.training, seed
        self.accuracy = MulticlassAccuracy(len(model.config.classes), average="micro")

    def forward(self, iframe: Tensor, motion: Tensor, residual: Tensor) -> Tensor:
        """Logits [B, classes] of clips whose views are given as [B, V, ...]."""
        batch = iframe.shape[0]
        logits = self.model(iframe.flatten(0, 1), motion.flatten(0, 1), residual.flatten(0, 1))
        return torch.as_tensor(logits.reshape(batch, -1, logits.shape[-1]).mean(1))

    def on_train_epoch_start(self) -> None:
        """Turn to the quantised form of the spiking layers when it is time."""
        self.quantise(self.current_epoch)

    def on_train_end(self) -> None:
        """Leave the model in its float form."""
        self.quantise(None)

    def quantise(self, epoch: int | None) -> None:
        """Give the spiking layers the form that they have in an epoch, from 0; the float form without."""
        quantised = epoch is not None and epoch >= self.config.quantised_from * self.config.epochs
        for module in self.model.modules():
            if isinstance(module, ConvLIF):
                module.quantised = quantised

    def training_step(self, batch: Batch, step: int) -> Tensor:
        """Cross-entropy with label smoothing.

        Raises:
            NotFiniteError: where the loss is not finite.
        """
        # every step is seeded by itself, so that a resumed training draws what an unbroken one draws
        rank = [self.global_rank] if self.global_rank else []
        torch.manual_seed(seed_of(self.seed, self.current_epoch, step, *rank))
        *clips, labels = batch
        loss = F.cross_entropy(self(*clips), labels, label_smoothing=self.config.label_smoothing)
        if not bool(torch.isfinite(loss)):
            raise NotFiniteError(
                f"epoch {self.current_epoch + 1}, step {step + 1}", f"the loss is {float(loss)}{self._not_finite()}",
                "lower training.learning_rate, or train in 32 bits",
            )  # fmt: skip
        self.log("loss", loss, sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Top-1 accuracy over the clips."""
        *clips, labels = batch
        self.accuracy(self(*clips), labels)
        self.log("accuracy", self.accuracy)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine over the steps; leak, threshold and norms are not decayed."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.config.learning_rate)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_peak(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _not_finite(self) -> str:
        names = [name for name, p in self.model.named_parameters() if not bool(torch.isfinite(p).all())]
        return f"; the weights of {names[0]} are not finite either" if names else "; all weights are finite"


def _share_of_peak(step: int, steps: int) -> float:
    """The learning rate as a share of its peak: a linear rise, then half a cosine."""
    warm = WARM_UP * steps
    if step < warm:
        return 0.04 + 0.96 * step / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / (steps - warm))))
