"""Run a bundle on videos: spiking part on a backend, ANN part on a device, everything accounted for."""
