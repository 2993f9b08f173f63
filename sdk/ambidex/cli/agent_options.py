"""The options that `run` and `chat` share, and the agent they make."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

from ambidex.agent import Agent
from ambidex.decoding import Sampling

from .tool_file import load_tools


@dataclass(frozen=True)
class AgentOptions:
    """As given on the command line; None is the model's or server's default."""

    model: str
    tools: tuple[Path, ...]
    system: str | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    seed: int | None
    max_steps: int
    timeout: float | None

    def agent(self) -> Agent[None]:
        """The agent that answers, with tools or without. Raises `ConfigError`, `InvalidRequest` for wrong options."""
        with contextlib.redirect_stdout(sys.stderr):  # what tool files print is no answer
            return Agent(
                self.model,
                tools=[tool for file in self.tools for tool in load_tools(file)],
                system=self.system,
                decoding=self._decoding(),
                max_tokens=self.max_tokens,
                max_steps=self.max_steps,
                timeout=self.timeout,
            )

    def _decoding(self) -> Sampling | None:
        if (self.temperature, self.top_p, self.seed) == (None, None, None):
            return None
        return Sampling(temperature=self.temperature, top_p=self.top_p, seed=self.seed)
