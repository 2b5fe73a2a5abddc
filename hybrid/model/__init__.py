"""The hybrid model: spiking temporal modulators and the ANN part."""

from hybrid.model.config import ModelConfig, load_config
from hybrid.model.hybrid_model import HybridModel

__all__ = ["HybridModel", "ModelConfig", "load_config"]
