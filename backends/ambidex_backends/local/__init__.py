"""A model in this process: `LocalBackend`, and under it the engine with our own decoding loop on PyTorch."""

from .backend import LocalBackend

__all__ = ["LocalBackend"]
