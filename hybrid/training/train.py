"""Train a model on labelled clips and write a checkpoint that says how it was made."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, Sampler

from hybrid.errors import BadInputError, HybridError
from hybrid.files import FULL, unwritten
from hybrid.model.checkpoint import save_checkpoint
from hybrid.model.config import ModelConfig
from hybrid.model.hybrid_model import HybridModel
from hybrid.training.dataset import ClipDataset, EpochSampler, OnBad, ShareSampler
from hybrid.training.initialise import scale_to_firing_rate
from hybrid.training.metrics import MetricsLogger
from hybrid.training.module import NotFiniteError, TrainingModule
from hybrid.training.progress import Progress
from hybrid.training.runfolder import RunFolder, StateFile
from hybrid.training.splits import Clips
from hybrid.workers import follow, lead, temporary_sockets

LOADER_DIED = ("shared memory", "(shm)", "is killed by signal", "exited unexpectedly")
"""What torch says when a process that loads clips has died, most often for lack of room to hand over a batch."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where to train; the names and meanings are Lightning's.

    Attributes:
        accelerator: `auto`, `cpu`, `gpu`, ...
        devices: how many.
        strategy: how several work together, such as `ddp`; `auto` for what a model with unused parameters needs.
        precision: such as `32-true`; `auto` for `bf16-mixed` on a GPU and 32 bits elsewhere.
        workers: processes that load clips.
    """

    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    workers: int = 0


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What came out.

    Attributes:
        leads: whether this is the process that writes, of those that train together.
        accuracy: top-1 on the held-out clips after the last epoch, 0 to 1; None where nothing was held out.
        train_clips: clips trained on.
        held_out_clips: clips measured on.
        resumed_from: epochs that an earlier, stopped training had done.
        compute_share: share of the epochs' time spent on batches, not on waiting for them.
    """

    leads: bool
    accuracy: float | None
    train_clips: int
    held_out_clips: int
    resumed_from: int
    compute_share: float


def train(
    clips: tuple[Clips, Clips],
    config: ModelConfig,
    out: Path,
    *,
    seed: int,
    command: str,
    initial: HybridModel | None = None,
    hardware: Hardware | None = None,
    cache: Path | None = None,
    on_load: Callable[[int, int], None] = lambda done, total: None,
    on_epoch: Callable[[int, float], None] = lambda done, loss: None,
    on_bad: OnBad | None = None,
) -> TrainingResult:
    """Train for a fixed number of epochs; the held-out clips are measured at the end, never selected on.

    With several devices every one of them is a process that Lightning starts: this command again. Together they take
    the batches that one would, so that the result is the same but for the order of sums (and the masks of dropout).
    Where one of them dies all end, and the same call goes on.

    Beside `out` lies a run folder with logs and the state after the last whole epoch: the same call goes on from
    there if it was stopped, with the same result.

    Args:
        clips: to train on, and to measure.
        config: the model.
        out: the checkpoint to write.
        seed: of everything random.
        command: written into the checkpoint, to do it again.
        initial: start from its weights; where the classes differ, but for the head's.
        hardware: where to train.
        cache: folder for prepared clips, so that the next run need not read them again.
        on_load: told how many clips of how many are read.
        on_epoch: told how many epochs are done, and the loss of the last step.
        on_bad: told of a clip that cannot be used, which is then left out; without it such a clip is an error.

    Raises:
        BadInputError: for a clip that cannot be used, a run folder of another training, or weights of another
            config to start from.
        HybridError: for a loss that is not finite, the last good epoch is kept as a checkpoint then; for a disk that
            is full; where another process of this training ended.
        SystemExit: for the last reason, in a process that Lightning started: with code 1, and nothing to say.
    """
    for talker in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(talker).setLevel(logging.WARNING)
    for known in ("You defined a `validation_step` but have no `val_dataloader`", "Experiment logs directory"):
        warnings.filterwarnings("ignore", known)
    lead()
    follows = follow()
    lightning.seed_everything(seed, verbose=False)
    folder = RunFolder.open(out, config, seed, clips, command)
    done = iter(range(1, len(clips[0]) + len(clips[1]) + 1))

    def load(part: Clips, seed: int | None) -> ClipDataset:
        total = len(clips[0]) + len(clips[1])
        return ClipDataset(
            part, config, seed=seed, cache=cache, on_clip=lambda: on_load(next(done), total), on_bad=on_bad
        )

    hardware = hardware or Hardware()
    trained, measured = load(clips[0], seed), load(clips[1], None)
    if not len(trained):
        raise BadInputError("training clips", "there are none", "hold out less")
    batch = min(config.training.batch, len(trained))
    if batch % hardware.devices:
        what = f"{batch} clips of a step cannot be shared out evenly to {hardware.devices} processes"
        raise BadInputError("--devices", what, "choose a divisor, or another training.batch")
    each = batch // hardware.devices
    order = EpochSampler(len(trained), seed, batch)
    order.set_epoch(folder.epochs_done)  # Lightning does so after the loading processes have begun the first epoch
    to_train = _loader(trained, each, order, hardware.workers)
    to_measure = _loader(measured, each, ShareSampler(len(measured)), hardware.workers) if len(measured) else None
    module = TrainingModule(HybridModel(config), seed)
    if initial is not None:
        _take_weights(module.model, initial)
    elif not folder.epochs_done:
        first = next(iter(DataLoader(trained, batch, sampler=EpochSampler(len(trained), seed, batch))))
        scale_to_firing_rate(module.model, *(x.flatten(0, 1) for x in first[:3]))
    progress = Progress(on_epoch)
    trainer = _trainer(config, folder, hardware, progress)
    try:
        with temporary_sockets() if hardware.workers else contextlib.nullcontext():
            trainer.fit(module, to_train, to_measure, ckpt_path=folder.resume_from, weights_only=True)
            if to_measure and "accuracy" not in trainer.callback_metrics:  # stopped between the last epoch and the end
                module.quantise(config.training.epochs - 1)
                trainer.validate(module, to_measure, verbose=False)
                module.quantise(None)
    except NotFiniteError as error:
        raise HybridError(error.where, error.what, f"{error.fix}; {folder.keep_last_good(config)}") from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise unwritten(folder.path, error) from error
    except RuntimeError as error:
        if hardware.workers and any(sign in str(error) for sign in LOADER_DIED):
            fix = "free memory, also in /dev/shm (in a container: --shm-size), or use fewer --workers; run it again"
            raise HybridError("a process that loads clips", "it died, most often for lack of memory", fix) from error
        if hardware.devices > 1 and any(name in str(error).lower() for name in ("gloo", "nccl")):
            if follows:  # the one that ended says why, and the one that began says that it is over
                raise SystemExit(1) from error
            fix = "its own message says why; then the same command goes on after the last whole epoch"
            raise HybridError("training in several processes", "another one of them ended", fix) from error
        raise
    if trainer.interrupted:
        raise KeyboardInterrupt
    accuracy = float(trainer.callback_metrics["accuracy"]) if to_measure else None
    if trainer.is_global_zero:
        save_checkpoint(module.model, out, _notes(len(trained), clips[1], seed, command, accuracy))
        folder.finish()
    return TrainingResult(
        trainer.is_global_zero, accuracy, len(trained), len(measured), folder.epochs_done, progress.compute_share
    )


def _take_weights(model: HybridModel, initial: HybridModel) -> None:
    weights, own = initial.state_dict(), model.state_dict()
    if initial.config.classes != model.config.classes:
        weights = {name: x for name, x in weights.items() if not name.startswith("head.")}
        weights |= {name: x for name, x in own.items() if name.startswith("head.")}
    wrong = sorted(
        name for name in weights.keys() | own.keys()
        if name not in weights or name not in own or weights[name].shape != own[name].shape
    )  # fmt: skip
    if wrong:
        what = f"its weights are those of another config ({initial.config.name}): {wrong[0]} does not fit"
        raise BadInputError("the checkpoint to start from", what, "train with its config, or start anew")
    model.load_state_dict(weights)


def _loader(clips: ClipDataset, batch: int, sampler: Sampler[Any], workers: int) -> DataLoader[Any]:
    return DataLoader(clips, batch, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)


def _trainer(config: ModelConfig, folder: RunFolder, hardware: Hardware, progress: Progress) -> lightning.Trainer:
    on_gpu = hardware.accelerator in ("gpu", "cuda") or (hardware.accelerator == "auto" and torch.cuda.is_available())
    precision: Any = hardware.precision
    if precision == "auto":
        precision = "bf16-mixed" if on_gpu else "32-true"
    strategy = hardware.strategy
    if strategy == "auto" and hardware.devices > 1:
        strategy = "ddp_find_unused_parameters_true"  # the streams of a model may lack an input
    logs = folder.path / "logs"
    loggers = [
        MetricsLogger(logs / "csv", f"from_epoch_{folder.epochs_done}"),
        TensorBoardLogger(logs, name="tensorboard", version=f"from_epoch_{folder.epochs_done}"),
    ]
    return lightning.Trainer(
        accelerator=hardware.accelerator, devices=hardware.devices, strategy=strategy, precision=precision,
        max_epochs=config.training.epochs, check_val_every_n_epoch=config.training.epochs,
        deterministic="warn" if on_gpu else True, num_sanity_val_steps=0, log_every_n_steps=1, logger=loggers,
        enable_model_summary=False, enable_progress_bar=False, callbacks=[progress, folder.saver()],
        plugins=[StateFile()],
        use_distributed_sampler=False,  # ours keep the batches of one process
    )  # fmt: skip


def _notes(trained: int, held_out: Clips, seed: int, command: str, accuracy: float | None) -> dict[str, str]:
    notes = {"command": command, "seed": str(seed), "train_clips": str(trained)}
    if accuracy is not None:
        notes |= {
            "held_out_groups": ", ".join(sorted({clip.group for clip in held_out})),
            "held_out_clips": str(len(held_out)),
            "held_out_accuracy": f"{accuracy:.4f}",
        }
    return notes
