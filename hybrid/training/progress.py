"""What a training tells while it runs: epochs done, loss, and how much of the time goes into computing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning


class Progress(lightning.Callback):
    """Report every epoch, and keep the time spent inside batches apart from that spent waiting for them."""

    def __init__(self, on_epoch: Callable[[int, float], None]) -> None:
        self._on_epoch = on_epoch
        self._computing = self._whole = self._epoch_began = self._batch_began = 0.0

    @property
    def compute_share(self) -> float:
        """Time inside batches over time inside epochs, 0 to 1; 0 before the first epoch."""
        return self._computing / self._whole if self._whole else 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the epoch's clock."""
        self._epoch_began = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the batch's clock."""
        self._batch_began = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Add the batch."""
        self._computing += time.perf_counter() - self._batch_began

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the epoch and tell of it."""
        self._whole += time.perf_counter() - self._epoch_began
        pl_module.log("compute_share", self.compute_share, sync_dist=True)
        self._on_epoch(trainer.current_epoch + 1, float(trainer.callback_metrics["loss"]))
