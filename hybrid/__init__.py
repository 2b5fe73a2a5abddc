"""Deploy hybrid spiking/ANN models for compressed video: read, partition, compile, run, report."""
