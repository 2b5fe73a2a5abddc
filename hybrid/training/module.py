"""The Lightning module: segment consensus, Adam with weight decay, cosine schedule."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from hybrid.model.hybrid_model import HybridModel


class TrainingModule(lightning.LightningModule):
    """Trains a HybridModel on batches of clips; the clip's logits are the mean over its views."""

    def __init__(self, model: HybridModel) -> None:
        super().__init__()
        self.model, self.config = model, model.config.training
        self.accuracy = MulticlassAccuracy(len(model.config.classes), average="micro")

    def forward(self, iframe: Tensor, motion: Tensor, residual: Tensor) -> Tensor:
        """Logits [B, classes] of clips whose views are given as [B, V, ...]."""
        batch = iframe.shape[0]
        logits = self.model(iframe.flatten(0, 1), motion.flatten(0, 1), residual.flatten(0, 1))
        return torch.as_tensor(logits.reshape(batch, -1, logits.shape[-1]).mean(1))

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], _: int) -> Tensor:
        """Cross-entropy with label smoothing."""
        *clips, labels = batch
        loss = F.cross_entropy(self(*clips), labels, label_smoothing=self.config.label_smoothing)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], _: int) -> None:
        """Top-1 accuracy over the clips."""
        *clips, labels = batch
        self.accuracy(self(*clips), labels)
        self.log("accuracy", self.accuracy, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW with a cosine schedule over the epochs; leak, threshold and norms are not decayed."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.config.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.config.learning_rate, total_steps=int(self.trainer.estimated_stepping_batches)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
