"""From float networks to networks of integers, and what that costs in accuracy.

`quantize` takes trained ConvLIF layers, `quantize_network` any float network. Weight scales are per layer or
per channel and fold into thresholds; a proof by intervals bounds every accumulator. `calibrate` finds the
scale of an input port from real values, `error_report` measures the error that each layer adds.
"""

from snn_export.quantize.calibrate import calibrate, to_integers
from snn_export.quantize.conv_layers import FloatConvLIF, float_network, quantize
from snn_export.quantize.error import ErrorReport, LayerError, StepError, error_report
from snn_export.quantize.integers import quantize_network
from snn_export.quantize.scales import MAX, MSE, WEIGHT_LIMIT, Clipping

__all__ = [
    "MAX",
    "MSE",
    "WEIGHT_LIMIT",
    "Clipping",
    "ErrorReport",
    "FloatConvLIF",
    "LayerError",
    "StepError",
    "calibrate",
    "error_report",
    "float_network",
    "quantize",
    "quantize_network",
    "to_integers",
]
