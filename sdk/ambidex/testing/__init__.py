"""For testing programs without a model, and backends against what programs rely on. Needs no pytest.

    backend = ScriptedBackend([ToolCall("1", "add", {"a": 1, "b": 2}), "3"])
    assert Agent(backend, tools=[add]).run("1 + 2?").answer == "3"
    assert backend.requests[1].messages[-1].text == "3"

`ScriptedBackend` answers from a script; `testing.conformance.BackendConformance` is the suite every backend passes.
"""

from __future__ import annotations

from .scripted import Scripted, ScriptedBackend, ScriptedReply, events_of

__all__ = ["Scripted", "ScriptedBackend", "ScriptedReply", "events_of"]
