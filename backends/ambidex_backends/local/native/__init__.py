"""Llama-shaped models computed by our own kernels on the CPU: faster, and quantised if asked."""

from .choice import Quantize, native_model

__all__ = ["Quantize", "native_model"]
