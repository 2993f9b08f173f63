"""Llama-shaped models on GPUs: many sequences in one pass, which can be recorded as a CUDA graph."""

from .choice import cuda_model

__all__ = ["cuda_model"]
