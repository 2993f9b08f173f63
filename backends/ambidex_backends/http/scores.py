"""Log probabilities as servers send them: OpenAI's chat form, and the older one of raw completions. No I/O."""

from __future__ import annotations

from typing import Any

from ambidex.reply import TokenLogprob

from .json_values import as_list, as_number, as_object, as_whole, is_list


def read_scores(data: Any) -> list[TokenLogprob]:
    """The tokens in a choice's `logprobs`; entries without a number (the first of a prompt) are passed over."""
    fields = as_object(data)
    if is_list(fields.get("content")):
        return [score for item in fields["content"] if (score := _chat_token(item)) is not None]
    tokens, values, tops = (
        as_list(fields.get("tokens")),
        as_list(fields.get("token_logprobs")),
        as_list(fields.get("top_logprobs")),
    )
    scores: list[TokenLogprob] = []
    for position, (token, value) in enumerate(zip(tokens, values, strict=False)):
        alternatives = as_object(tops[position]).items() if position < len(tops) else ()
        ranked = [score for name, number in alternatives if (score := _token(name, number)) is not None]
        ranked.sort(key=lambda score: -score.logprob)
        score = _token(token, value, top=tuple(ranked))
        if score is not None:
            scores.append(score)
    return scores


def _chat_token(item: Any) -> TokenLogprob | None:
    fields = as_object(item)
    top = tuple(score for other in as_list(fields.get("top_logprobs")) if (score := _chat_token(other)) is not None)
    return _token(fields.get("token"), fields.get("logprob"), fields.get("bytes"), fields.get("id"), top)


def _token(
    text: Any, value: Any, raw: Any = None, number: Any = None, top: tuple[TokenLogprob, ...] = ()
) -> TokenLogprob | None:
    logprob = as_number(value)
    if not isinstance(text, str) or logprob is None:
        return None
    octets = as_list(raw)
    valid = bool(octets) and all(isinstance(octet, int) and 0 <= octet < 256 for octet in octets)
    return TokenLogprob(
        text,
        bytes(octets) if valid else text.encode(errors="replace"),
        as_whole(number),
        logprob,
        top,
        "provider",
    )
