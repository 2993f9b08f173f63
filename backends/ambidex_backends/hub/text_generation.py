"""The text-generation route of hf-inference (and of TGI): a raw prompt in, tokens out. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ambidex.accumulator import Accumulator
from ambidex.decoding import Greedy, Sampling
from ambidex.errors import IncompleteResponse, Unsupported
from ambidex.events import Event, Finished, TextDelta, TokenScored
from ambidex.reply import Timings, TokenLogprob, Usage
from ambidex.request import Request
from ambidex_backends.http.chunks import FINISH_REASONS, read_json
from ambidex_backends.http.json_values import as_list, as_number, as_object, as_text, as_whole, is_object
from ambidex_backends.http.limits import DEFAULT_LIMITS, Limits
from ambidex_backends.http.request_body import prompt_on_the_wire, refuse, refuse_local_only
from ambidex_backends.http.server_errors import for_stream, says_error
from ambidex_backends.http.sse import ServerSentEvent
from ambidex_backends.http.tally import Tally

MAX_TOP_TOKENS = 5
"""TGI's own limit."""


def text_generation_body(request: Request) -> dict[str, Any]:
    """`{"inputs", "parameters", "stream"}`. Raises `Unsupported` for what TGI's parameters do not have."""
    prompt = prompt_on_the_wire(request)
    if not isinstance(prompt, str):
        raise Unsupported("hf-inference takes a prompt as text, not as token ids.", param="prompt")
    refuse_local_only(request)
    if request.logprobs is not None and request.logprobs > MAX_TOP_TOKENS:
        raise Unsupported(f"hf-inference gives at most {MAX_TOP_TOKENS} alternatives per token.", param="logprobs")
    decoding = request.decoding
    parameters: dict[str, Any] = {"return_full_text": False, "details": True}
    if decoding is not None:
        refuse(
            {
                "presence_penalty": decoding.presence_penalty is not None,
                "logit_bias": bool(decoding.logit_bias),
                "min_tokens": decoding.min_tokens is not None,
                "min_p": isinstance(decoding, Sampling) and decoding.min_p is not None,
                "no_repeat_ngram": decoding.no_repeat_ngram is not None,
                "banned": bool(decoding.banned),
            },
            "hf-inference is asked over TGI's text generation",
            "Leave it out, or ask another provider.",
        )
        names = ["repetition_penalty", "frequency_penalty"]
        greedy = isinstance(decoding, Greedy) or (isinstance(decoding, Sampling) and decoding.temperature == 0)
        names += [] if greedy else ["temperature", "top_k", "top_p", "typical_p", "seed"]
        parameters["do_sample"] = not greedy
        parameters |= {name: value for name in names if (value := getattr(decoding, name)) is not None}
        if not parameters.get("top_k", 1):  # 0 is off; TGI says that by leaving it out
            del parameters["top_k"]
    if request.max_tokens is not None:
        parameters["max_new_tokens"] = request.max_tokens
    if request.stops:
        parameters["stop"] = list(request.stops)
    if request.logprobs:
        parameters["top_n_tokens"] = request.logprobs
    if request.extra:
        clash = sorted({"inputs", "parameters", "stream"} & set(request.extra))
        if clash:
            raise Unsupported(f"extra may not set {clash[0]!r} of a text generation.", param="extra")
    return {"inputs": prompt, "parameters": parameters, "stream": True, **(request.extra or {})}


class TokenReader:
    """Reads TGI's stream of tokens; see `answer.Reader`."""

    def __init__(self, *, model: str, scored: bool, limits: Limits = DEFAULT_LIMITS) -> None:
        self._tally = Tally(limits)
        self.finished = False
        self.done = False
        self._model = model
        self._scored = scored
        self._so_far = Accumulator()
        self._reason = ""
        self._usage = Usage()

    def begin(self, headers: Mapping[str, str]) -> None:
        pass

    def feed(self, event: ServerSentEvent) -> list[Event]:
        if event.data.strip() in ("", "[DONE]"):
            self.done = self.done or bool(event.data.strip())
            return []
        data = read_json(event)
        if event.event == "error" or says_error(data):
            raise for_stream(data, model=self._model, request_id=None, provider="hf-inference", fallback=event.data)
        events: list[Event] = []
        token = as_object(data.get("token"))
        if (text := as_text(token.get("text"))) and not token.get("special"):
            events.append(TextDelta(text))
        if self._scored and (score := _score(token, as_list(data.get("top_tokens")))) is not None:
            events.append(TokenScored(score))
        if is_object(details := data.get("details")):
            self._read_details(details)
        for item in events:
            self._tally.count(item)
            self._so_far.add(item)
        return events

    def end(self, timings: Timings, request_id: str | None) -> list[Event]:
        if not self.finished:
            raise IncompleteResponse(
                "The answer ended without a finish reason: it was cut off on its way. What came is in .partial.",
                request_id=request_id,
            )
        choice = self._so_far.choice(FINISH_REASONS.get(self._reason, "other"), raw=self._reason)
        return [Finished((choice,), self._usage, timings, model=self._model, request_id=request_id)]

    def _read_details(self, details: dict[str, Any]) -> None:
        if reason := as_text(details.get("finish_reason")):
            self.finished, self._reason = True, reason
        self._usage = Usage(as_whole(details.get("input_length")), as_whole(details.get("generated_tokens")))


def _score(token: dict[str, Any], others: Sequence[Any] = ()) -> TokenLogprob | None:
    text, logprob = token.get("text"), as_number(token.get("logprob"))
    if not isinstance(text, str) or logprob is None:
        return None
    top = [score for other in others if (score := _score(as_object(other))) is not None]
    return TokenLogprob(
        text,
        text.encode(errors="replace"),
        as_whole(token.get("id")),
        logprob,
        tuple(sorted(top, key=lambda score: -score.logprob)),
        "provider",
    )
