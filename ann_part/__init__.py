"""The ANN part of the hybrid model, in torch alone."""
