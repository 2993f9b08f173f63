"""Log probabilities as servers send them: OpenAI's chat form, and the older one of raw completions. No I/O."""

from __future__ import annotations

from typing import Any, cast

from ambidex.reply import TokenLogprob


def read_scores(data: Any) -> list[TokenLogprob]:
    """The tokens in a choice's `logprobs`; entries without a number (the first of a prompt) are passed over."""
    if not isinstance(data, dict):
        return []
    fields = cast("dict[str, Any]", data)
    if isinstance(fields.get("content"), list):
        return [score for item in _list(fields["content"]) if (score := _chat_token(item)) is not None]
    tokens, values, tops = _list(fields.get("tokens")), _list(fields.get("token_logprobs")), _list(fields.get("top_logprobs"))
    scores: list[TokenLogprob] = []
    for position, (token, value) in enumerate(zip(tokens, values, strict=False)):
        top = tops[position] if position < len(tops) else None
        alternatives = cast("dict[str, Any]", top).items() if isinstance(top, dict) else ()
        ranked = [score for name, number in alternatives if (score := _token(name, number)) is not None]
        ranked.sort(key=lambda score: -score.logprob)
        score = _token(token, value, top=tuple(ranked))
        if score is not None:
            scores.append(score)
    return scores


def _chat_token(item: Any) -> TokenLogprob | None:
    if not isinstance(item, dict):
        return None
    fields = cast("dict[str, Any]", item)
    top = tuple(score for other in _list(fields.get("top_logprobs")) if (score := _chat_token(other)) is not None)
    return _token(fields.get("token"), fields.get("logprob"), fields.get("bytes"), fields.get("id"), top)


def _token(
    text: Any, value: Any, raw: Any = None, number: Any = None, top: tuple[TokenLogprob, ...] = ()
) -> TokenLogprob | None:
    if not isinstance(text, str) or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    octets = _list(raw)
    valid = bool(octets) and all(isinstance(octet, int) and 0 <= octet < 256 for octet in octets)
    return TokenLogprob(
        text,
        bytes(octets) if valid else text.encode(errors="replace"),
        number if isinstance(number, int) and not isinstance(number, bool) else None,
        float(value),
        top,
        "provider",
    )


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
