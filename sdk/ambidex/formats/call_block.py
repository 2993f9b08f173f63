"""What the readers of calls between tags share: reading by states, a call's raw text, and the end of the output."""

from __future__ import annotations

import re
from collections.abc import Callable

from .call_events import CallEvents
from .turn_parser import Body

MAX_CALL = 1 << 20
"""Characters of one call. A longer one fails, and its raw text is kept up to here."""

MAX_GAP = 400
"""Characters of space between two parts of a call."""

_GAP = re.compile(r"[ \t\r\n]*+")

State = Callable[[str, int], int]
"""Reads a text from a place on; how far it came. It may have set another state."""


class CallBlock:
    """Everything behind an opening tag up to its end. `feed` until `ended`, or `close` at the end of the output.

    Then `text` is what was no call after all, and `rest` is to be read once more. A family's reader sets `_state`, and
    says what is not bounded by `MAX_CALL` and what an output means that is over.
    """

    def __init__(self, calls: CallEvents, opening: str) -> None:
        self.ended = False
        self.text = ""
        self.rest = ""
        self._calls = calls
        self._opening = opening
        self._state: State = self._broken
        self._raw = [opening]
        self._length = 0
        self._raw_is_over = False  # what the present state reads belongs to no call any more
        self._final = False
        self._any_call = False
        self._repaired = False
        self._problem = "the call was cut off"
        self._other: Body | None = None  # reads another form that stands where the calls should

    def feed(self, text: str, start: int) -> int:
        """Returns how far it read: to the end of the block, of the text, or to what only more text can decide."""
        at = start
        while not self.ended:
            state = self._state
            read = state(text, at)
            if not self._raw_is_over:
                self._keep(text[at:read])
            self._raw_is_over = False
            if read == at and self._state == state:
                break
            at = read
        return at

    def close(self, unread: str) -> None:
        """The output is over: what was begun and is not closed is cut off."""
        if self.ended:
            return
        self._final = True
        unread = unread[self.feed(unread, 0) :]
        if self.ended:
            self.rest += unread
        elif self._other is not None:
            self._other.close(unread)
            self._copy(self._other)
        else:
            self._end_of_output(unread)
        self.ended = True

    def _end_of_output(self, unread: str) -> None:
        """Not ended yet: in which state was it?"""
        raise NotImplementedError

    def _broken(self, text: str, start: int) -> int:
        """The state in a malformed call: to where it ends."""
        raise NotImplementedError

    @property
    def _is_outside(self) -> bool:
        """Whether the state is outside of a call, where its length has no bound."""
        return False

    def _read_other(self, text: str, start: int) -> int:
        assert self._other is not None
        at = self._other.feed(text, start)
        if self._other.ended:
            self._copy(self._other)
        return at

    def _copy(self, other: Body) -> None:
        self.ended, self.text, self.rest = other.ended, other.text, other.rest

    def _break(self, problem: str, at: int) -> int:
        self._problem = problem
        self._state = self._broken
        return at

    def _keep(self, text: str) -> None:
        """What was read belongs to the call's raw text."""
        room = MAX_CALL - self._length
        self._length += len(text)
        self._raw.append(text[: max(0, room)])
        if room < len(text) and self._state not in (self._broken, self._read_other) and not self._is_outside:
            self._break(f"the call is longer than {MAX_CALL} characters", 0)


def after_gap(text: str, at: int) -> int:
    """The place behind a gap, or so far in it that it is none."""
    found = _GAP.match(text, at, at + MAX_GAP + 1)
    return found.end() if found else at
