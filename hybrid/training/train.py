"""Train a model on a folder of clips and write a checkpoint that says how it was made."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import LambdaCallback
from torch.utils.data import DataLoader

from hybrid.model.checkpoint import save_checkpoint
from hybrid.model.config import ModelConfig
from hybrid.model.hybrid_model import HybridModel
from hybrid.training.dataset import ClipDataset, find_clips, split_by_group
from hybrid.training.initialise import scale_to_firing_rate
from hybrid.training.module import TrainingModule


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What came out.

    Attributes:
        accuracy: top-1 on the held-out groups after the last epoch, 0 to 1; None where nothing was held out.
        train_clips: clips trained on.
        held_out_clips: clips of the held-out groups.
    """

    accuracy: float | None
    train_clips: int
    held_out_clips: int


def train(
    data: Path,
    config: ModelConfig,
    out: Path,
    *,
    held_out: float,
    seed: int,
    command: str,
    cache: Path | None = None,
    on_load: Callable[[int, int], None] = lambda done, total: None,
    on_epoch: Callable[[int, float], None] = lambda done, loss: None,
) -> TrainingResult:
    """Train for a fixed number of epochs; the held-out groups are measured, never selected on.

    Args:
        data: folder with one sub-folder per class.
        config: the model.
        out: the checkpoint to write.
        held_out: share of the clips of each class to hold out, in whole recording groups.
        seed: of everything random.
        command: written into the checkpoint, to do it again.
        cache: folder for prepared clips, so that the next run need not read them again.
        on_load: told how many clips of how many are read.
        on_epoch: told how many epochs are done, and the loss of the last step.

    Raises:
        BadInputError: for a data set or a clip that cannot be used.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    lightning.seed_everything(seed, verbose=False)
    clips = find_clips(data, config.classes)
    train_clips, held_clips = split_by_group(clips, held_out)
    done = iter(range(1, len(clips) + 1))

    def tick() -> None:
        on_load(next(done), len(clips))

    sets = [
        ClipDataset(part, config, train=train, cache=cache, on_clip=tick)
        for part, train in ((train_clips, True), (held_clips, False))
    ]
    batch = min(config.training.batch, len(train_clips))
    to_train = DataLoader(sets[0], batch, shuffle=True, drop_last=True)
    to_measure = DataLoader(sets[1], batch) if held_clips else None
    model = HybridModel(config)
    _, motion, residual, _ = next(iter(to_train))
    scale_to_firing_rate(model.stm_motion, motion.flatten(0, 1))
    scale_to_firing_rate(model.stm_residual, residual.flatten(0, 1))
    module = TrainingModule(model)
    trainer = lightning.Trainer(
        max_epochs=config.training.epochs, deterministic=True, num_sanity_val_steps=0, log_every_n_steps=1,
        check_val_every_n_epoch=config.training.epochs,
        logger=False, enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=False,
        callbacks=[LambdaCallback(on_train_epoch_end=lambda t, _: on_epoch(t.current_epoch + 1, _loss(t)))],
    )  # fmt: skip
    trainer.fit(module, to_train, to_measure)
    accuracy = float(trainer.callback_metrics["accuracy"]) if held_clips else None
    notes = {"command": command, "seed": str(seed), "train_clips": str(len(train_clips))}
    if accuracy is not None:
        notes |= {
            "held_out_groups": ", ".join(sorted({clip.group for clip in held_clips})),
            "held_out_clips": str(len(held_clips)),
            "held_out_accuracy": f"{accuracy:.4f}",
        }
    save_checkpoint(module.model, out, notes)
    return TrainingResult(accuracy, len(train_clips), len(held_clips))


def _loss(trainer: lightning.Trainer) -> float:
    return float(trainer.callback_metrics["loss"])
