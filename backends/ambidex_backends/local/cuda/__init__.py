"""Llama-shaped models on GPUs: many sequences in one pass, recorded as CUDA graphs."""

from .choice import cuda_model

__all__ = ["cuda_model"]
