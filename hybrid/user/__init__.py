"""Models that users bring: found by name, traced, compiled and run on tensors."""
