"""Hugging Face Inference Providers: any chat model of the Hub, through one router."""

from .backend import HubBackend

__all__ = ["HubBackend"]
