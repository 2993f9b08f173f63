"""Ids of tool calls as the target takes them. No I/O.

A conversation keeps the ids that its servers gave; another target may refuse them. So each request gives the calls of
its history ids of the target's form: a legal one stays, any other is replaced by one made from it, results go with
their calls, and no two calls of a history share one. An id depends on nothing that comes after its call: as a history
grows, what a server has cached of it stays true.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

IdForm: TypeAlias = Literal["any", "letters", "nine", "kimi"]
"""any      what servers take that only pass ids on: up to 128 characters without spaces and quotes
letters  `^[a-zA-Z0-9_-]{1,40}$`: OpenAI takes 40 characters, Claude these letters, and so every server
nine     exactly nine letters and digits: Mistral
kimi     functions.<name>:<number>: Kimi K2
"""

LEGAL: Mapping[IdForm, re.Pattern[str]] = {
    "any": re.compile(r"[a-zA-Z0-9_.:@/+=-]{1,128}"),
    "letters": re.compile(r"[a-zA-Z0-9_-]{1,40}"),
    "nine": re.compile(r"[a-zA-Z0-9]{9}"),
    "kimi": re.compile(r"functions\.[a-zA-Z0-9_-]{1,64}:[0-9]{1,9}"),
}
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_DIGEST = 8


def is_legal(call_id: str, form: IdForm) -> bool:
    return LEGAL[form].fullmatch(call_id) is not None


class CallIds:
    """The ids of one history: tell it every answer, call and result in their order."""

    def __init__(self, form: IdForm) -> None:
        self._form: IdForm = form
        self._taken: set[str] = set()
        self._calls = 0
        self._of_answer: dict[str, list[str]] = {}
        self._waiting: dict[str, list[str]] = {}

    def begin_answer(self) -> None:
        """The calls that follow are of another answer, which may use an id that an earlier one has used."""
        self._of_answer = {}

    def call(self, call_id: str, name: str) -> str:
        """The id of the next call, which is to the tool that the wire names `name`."""
        made = self._made(call_id, name)
        self._calls += 1
        same = self._of_answer.setdefault(call_id, [])
        same.append(made)
        self._waiting[call_id] = same
        return made

    def result(self, call_id: str, name: str) -> str:
        """The id of the call that a result belongs to; of calls with one id, the results come in their order."""
        calls = self._waiting.get(call_id)
        if not calls:  # its call was trimmed away: the server will say what it thinks of that
            return self.call(call_id, name)
        return calls.pop(0) if len(calls) > 1 else calls[0]

    def _made(self, call_id: str, name: str) -> str:
        legal = is_legal(call_id, self._form)
        if self._form == "kimi":
            legal = legal and call_id.startswith(f"functions.{name}:")
        made, attempt = call_id, 0
        while not legal or made in self._taken:
            made, legal = self._candidate(call_id, name, attempt), True
            attempt += 1
        self._taken.add(made)
        return made

    def _candidate(self, call_id: str, name: str, attempt: int) -> str:
        if self._form == "kimi":
            return f"functions.{name}:{self._calls + attempt}"
        digest = hashlib.sha256(f"{call_id}\0{attempt}".encode(errors="surrogatepass")).hexdigest()
        if self._form == "nine":
            return digest[:9]
        return f"{_ILLEGAL.sub('_', call_id)[: 39 - _DIGEST]}_{digest[:_DIGEST]}"
