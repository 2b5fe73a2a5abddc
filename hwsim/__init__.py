"""Simulated neuromorphic chips: map a spiking network onto cores, run it exactly, count, time, price."""
