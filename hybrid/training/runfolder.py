"""The folder beside a checkpoint in the making: logs, and the state after the last whole epoch."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from hybrid.errors import BadInputError
from hybrid.files import make_folder, write_aside
from hybrid.model.checkpoint import save_checkpoint
from hybrid.model.config import ModelConfig
from hybrid.model.hybrid_model import HybridModel
from hybrid.training.splits import Clips

STATE = "state/last.ckpt"
SETTINGS = "settings.json"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """State and logs of one training.

    Attributes:
        path: `model.train` for `model.safetensors`.
        epochs_done: by an earlier call that was stopped; 0 for a new training.
    """

    path: Path
    epochs_done: int

    @classmethod
    def open(cls, out: Path, config: ModelConfig, seed: int, clips: tuple[Clips, Clips], command: str) -> RunFolder:
        """Begin, or find where an earlier call with the same settings was stopped.

        Raises:
            BadInputError: where a stopped training with other settings lies there, or its state cannot be read.
        """
        path = out.with_suffix(".train")
        settings = {"config": config.model_dump(mode="json"), "seed": seed, "clips": _digest(clips)}
        settings |= {"command": command}
        text = json.dumps(settings, indent=1, sort_keys=True)
        state = path / STATE
        if not state.exists():
            make_folder(path)
            write_aside(path / SETTINGS, text.encode())
            return cls(path, 0)
        where, fix = str(path), "finish it with its own settings, remove that folder, or choose another --out"
        try:
            same = (path / SETTINGS).read_text(encoding="utf-8") == text
            epochs = int(_load(state)["epoch"]) + 1
        except (OSError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise BadInputError(where, f"the stopped training in it cannot be read: {error}", fix) from error
        if not same:
            raise BadInputError(where, "a stopped training with other settings or clips lies here", fix)
        return cls(path, epochs)

    @property
    def resume_from(self) -> Path | None:
        """The state to go on from."""
        return self.path / STATE if self.epochs_done else None

    def saver(self) -> ModelCheckpoint:
        """The callback that keeps the state after every epoch."""
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
        return ModelCheckpoint(
            self.path / "state",
            Path(STATE).stem,
            every_n_epochs=1,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def keep_last_good(self, config: ModelConfig) -> str:
        """Write the model of the last whole epoch as a checkpoint, and say in words where it is."""
        state, target = self.path / STATE, self.path / "last-good.safetensors"
        if not state.exists():
            return "no epoch was finished"
        loaded, model = _load(state), HybridModel(config)
        weights = {name[6:]: x for name, x in loaded["state_dict"].items() if name.startswith("model.")}
        model.load_state_dict(weights)
        save_checkpoint(model, target, {"epochs": str(loaded["epoch"] + 1)})
        return f"the model after epoch {loaded['epoch'] + 1} is kept in {target}"

    def finish(self) -> None:
        """The checkpoint is written: drop the state, keep the logs."""
        shutil.rmtree((self.path / STATE).parent)


class StateFile(TorchCheckpointIO):
    """Writes the state beside its place and renames it; Lightning's own way is by the system's temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write one state.

        Raises:
            HybridError: where it cannot be written; the one before it stays.
        """
        data = io.BytesIO()
        torch.save(checkpoint, data)
        make_folder(Path(path).parent)
        write_aside(Path(path), data.getvalue())


def _load(state: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(state, map_location="cpu", weights_only=True)
    return loaded


def _digest(clips: tuple[Clips, Clips]) -> str:
    """Names and labels of all clips, whatever folder they lie in."""
    listed = [[(clip.label, clip.path.name) for clip in part] for part in clips]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
