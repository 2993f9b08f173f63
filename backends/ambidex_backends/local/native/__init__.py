"""Llama-shaped models computed by our own kernels on the CPU."""
