"""OpenAI-compatible servers: vLLM, SGLang, TGI, llama.cpp, Ollama, OpenAI, ours."""

from .backend import EndpointBackend

__all__ = ["EndpointBackend"]
