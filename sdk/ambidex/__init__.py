"""Ambidex: one typed chat for LLM agents, answered by a model in this process or by a server.

    from ambidex import Chat
    print(Chat("local:pocket").ask("hello").text)

Names are loaded when first used, so that importing the package stays quick and light.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

logging.getLogger("ambidex").addHandler(logging.NullHandler())

_HOME = {
    "agent": "Agent",
    "agent_events": "AgentResult",
    "async_agent": "AsyncAgent",
    "backend": "Backend Capabilities connect",
    "async_chat": "AsyncChat",
    "chat": "Chat",
    "decoding": "Beams Greedy Sampling",
    "errors": "AmbidexError",
    "fallback": "Fallback",
    "events": "Event Finished ReasoningDelta Restarted TextDelta TokenScored ToolCallDelta ToolCallStarted ToolCalled "
    "ValueDelta",
    "messages": "Assistant Audio Image InvalidToolCall Message Part Reasoning System Text ToolCall ToolResult Url User",
    "prompts": "PromptTemplate prompted",
    "reply": "Choice Reply Timings TokenLogprob Usage",
    "request": "NamedTool Request Special",
    "stream": "EventStream acollect collect",
    "tools": "Tool tool",
}
_MODULES = ("errors", "formats", "messages", "templates", "testing")
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "Agent",
    "AgentResult",
    "AmbidexError",
    "Assistant",
    "AsyncAgent",
    "AsyncChat",
    "Audio",
    "Backend",
    "Beams",
    "Capabilities",
    "Chat",
    "Choice",
    "Event",
    "EventStream",
    "Fallback",
    "Finished",
    "Greedy",
    "Image",
    "InvalidToolCall",
    "Message",
    "NamedTool",
    "Part",
    "PromptTemplate",
    "Reasoning",
    "ReasoningDelta",
    "Reply",
    "Request",
    "Restarted",
    "Sampling",
    "Special",
    "System",
    "Text",
    "TextDelta",
    "Timings",
    "TokenLogprob",
    "TokenScored",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallStarted",
    "ToolCalled",
    "ToolResult",
    "Url",
    "Usage",
    "User",
    "ValueDelta",
    "__version__",
    "acollect",
    "collect",
    "connect",
    "errors",
    "formats",
    "messages",
    "prompted",
    "templates",
    "testing",
    "tool",
]

if TYPE_CHECKING:
    from . import errors, formats, messages, templates, testing
    from .agent import Agent
    from .agent_events import AgentResult
    from .async_agent import AsyncAgent
    from .async_chat import AsyncChat
    from .backend import Backend, Capabilities, connect
    from .chat import Chat
    from .decoding import Beams, Greedy, Sampling
    from .errors import AmbidexError
    from .events import (
        Event,
        Finished,
        ReasoningDelta,
        Restarted,
        TextDelta,
        TokenScored,
        ToolCallDelta,
        ToolCalled,
        ToolCallStarted,
        ValueDelta,
    )
    from .fallback import Fallback
    from .messages import (
        Assistant,
        Audio,
        Image,
        InvalidToolCall,
        Message,
        Part,
        Reasoning,
        System,
        Text,
        ToolCall,
        ToolResult,
        Url,
        User,
    )
    from .prompts import PromptTemplate, prompted
    from .reply import Choice, Reply, Timings, TokenLogprob, Usage
    from .request import NamedTool, Request, Special
    from .stream import EventStream, acollect, collect
    from .tools import Tool, tool


def __getattr__(name: str) -> Any:
    """A public name, loaded from its module when first used (PEP 562)."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
