"""Records of a journal as JSON text, one text each, for journals that store text; the messages as in `message_json`.

    {"record": "call_started", "step": 1, "ordinal": 0, "digest": "9f86...", "attempt": 1}

Read strictly: a closed set of kinds, every field demanded and no other taken. What stands in arguments and results
is only ever data.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast, get_args

from .errors import InvalidRequest
from .events import Finished
from .journal import Answered, CallNotRun, CallReturned, CallStarted, Record, RunBegan, RunEnded
from .message_json import Stored, message_of, of_text, plain, to_text
from .messages import Assistant, ToolResult
from .reply import Choice, FinishReason, Timings, Usage
from .strict_json import StrictJSONError


def encode(record: Record) -> str:
    """Raises `InvalidRequest` for a file that cannot be read and arguments that JSON cannot hold."""
    return to_text(_plain(record))


def decode(text: str) -> Record:
    """The record that `encode` wrote. Raises `InvalidRequest`, which names the place, for anything else."""
    try:
        return _record(of_text("the record", text))
    except StrictJSONError as problem:
        raise InvalidRequest(f"This is no stored record: {problem}.") from None


def kind(record: Record) -> str:
    """The name under which a record is stored."""
    return _KINDS[type(record)]


_KINDS = {
    RunBegan: "run_began",
    Answered: "answered",
    CallStarted: "call_started",
    CallReturned: "call_returned",
    CallNotRun: "call_not_run",
    RunEnded: "run_ended",
}


def _plain(record: Record) -> dict[str, Any]:
    match record:
        case RunBegan(task):
            fields: dict[str, Any] = {"task": plain(task)}
        case Answered(step, asked, answer):
            fields = {"step": step, "asked": asked, **_plain_answer(answer)}
        case CallStarted(step, ordinal, digest, attempt) | CallNotRun(step, ordinal, digest, attempt):
            fields = {"step": step, "ordinal": ordinal, "digest": digest, "attempt": attempt}
        case CallReturned(step, ordinal, digest, result):
            fields = {"step": step, "ordinal": ordinal, "digest": digest, "result": plain([result])[0]}
        case RunEnded():
            fields = {}
    return {"record": kind(record), **fields}


def _plain_answer(answer: Finished) -> dict[str, Any]:
    """What an agent needs of an answer. Log probabilities and scores are not asked for, a value is validated again."""
    choice = answer.choices[0]
    return {
        "message": plain([choice.message])[0],
        "finish_reason": choice.finish_reason,
        "stop_sequence": choice.stop_sequence,
        "raw_finish_reason": choice.raw_finish_reason,
        "usage": dataclasses.asdict(answer.usage),
        "timings": dataclasses.asdict(answer.timings),
        "model": answer.model,
        "request_id": answer.request_id,
    }


def _record(item: Stored) -> Record:
    match item.text("record"):
        case "run_began":
            item.only("record", "task")
            return RunBegan(tuple(message_of(message) for message in item.list("task")))
        case "answered":
            item.only("record", "step", "asked", *_ANSWER)
            return Answered(_whole(item, "step"), _whole(item, "asked"), _answer(item))
        case "call_started":
            return CallStarted(*_call(item, "attempt"), _whole(item, "attempt"))
        case "call_not_run":
            return CallNotRun(*_call(item, "attempt"), _whole(item, "attempt"))
        case "call_returned":
            step, ordinal, digest = _call(item, "result")
            result = message_of(_inside(item, "result"))
            if not isinstance(result, ToolResult):
                raise item.wrong("is a tool's result", "result")
            return CallReturned(step, ordinal, digest, result)
        case "run_ended":
            item.only("record")
            return RunEnded()
        case other:
            raise item.wrong(f"is no record that this release knows: {other[:80]!r}")


_ANSWER = "message finish_reason stop_sequence raw_finish_reason usage timings model request_id".split()


def _answer(item: Stored) -> Finished:
    message = message_of(_inside(item, "message"))
    if not isinstance(message, Assistant):
        raise item.wrong("is an answer", "message")
    reason = item.optional_text("finish_reason")
    if reason is not None and reason not in get_args(FinishReason):
        raise item.wrong(f"is no finish reason: {reason[:80]!r}", "finish_reason")
    choice = Choice(
        message,
        cast("FinishReason | None", reason),
        stop_sequence=item.optional_text("stop_sequence"),
        raw_finish_reason=item.optional_text("raw_finish_reason"),
    )
    usage, timings = _numbers(_inside(item, "usage"), Usage), _numbers(_inside(item, "timings"), Timings)
    return Finished(
        (choice,),
        Usage(**usage),
        Timings(**timings),
        model=item.optional_text("model"),
        request_id=item.optional_text("request_id"),
    )


def _call(item: Stored, last: str) -> tuple[int, int, str]:
    item.only("record", "step", "ordinal", "digest", last)
    return _whole(item, "step"), _whole(item, "ordinal"), item.text("digest")


def _inside(item: Stored, field: str) -> Stored:
    return Stored(f"{item.place}.{field}", item.fields[field])


def _whole(item: Stored, field: str) -> int:
    value = item.fields.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise item.wrong("is a whole number", field)
    return value


def _numbers(item: Stored, cls: type[Usage | Timings]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(cls)]
    item.only(*names)
    for name in names:
        value = item.fields[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise item.wrong("is a number or null", name)
    return item.fields
