"""A `Request` as the JSON body that OpenAI-compatible servers take. No I/O, nothing mutated, nothing dropped.

What the dialect has no field for raises `Unsupported`, before anything is sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

from ambidex.decoding import Beams, Greedy, Sampling
from ambidex.errors import InvalidRequest, Unsupported
from ambidex.output import json_schema
from ambidex.request import NamedTool, Request, Special

from .dialect import SELF_HOSTED, Dialect
from .tool_names import to_wire
from .wire_messages import depend_on_dialect, wire_messages

_OUTPUT_NAME = "answer"


def chat_body(request: Request, model: str, dialect: Dialect) -> dict[str, Any]:
    """The body of POST /v1/chat/completions. `model` stands first, so that a proxy can read it from the start."""
    body = {
        "model": model,
        "messages": wire_messages(request.messages, model, dialect),
        "stream": True,
        "stream_options": {"include_usage": True},
        **_tools(request, dialect),
        **_output(request, dialect),
        **_reasoning(request, dialect),
        **_decoding(request, dialect),
        **_limits(request, dialect.max_tokens),
    }
    if (alternatives := _logprobs(request, dialect)) is not None:
        body["logprobs"] = True
        body["top_logprobs"] = alternatives
    return with_extra(body, request.extra)


def depends_on_dialect(request: Request, model: str) -> bool:
    """Whether kinds of servers are asked differently for this request, or cannot all honour it.

    False for a plain chat, with or without tools, temperature, top_p, seed, limits and log probabilities.
    """
    decoding = request.decoding
    if request.prompt is not None or request.output is not None or request.reasoning is not None:
        return True
    if request.tool_choice != "auto" or request.parallel_tool_calls is not None:
        return True
    if request.logprobs is not None and request.logprobs > min(kind.top_logprobs for kind in SELF_HOSTED):
        return True
    used = [name for name in _SAMPLING if getattr(decoding, name, None) not in (None, ())]
    if any(name not in _OPENAI_SAMPLING or any(name in kind.lacks for kind in SELF_HOSTED) for name in used):
        return True
    return depend_on_dialect(request.messages, model)


def completion_body(request: Request, model: str, dialect: Dialect) -> dict[str, Any]:
    """The body of POST /v1/completions, for a raw prompt."""
    if not dialect.completions:
        raise Unsupported(
            f"{dialect.title} puts every prompt into the model's chat template: ask with messages.", param="prompt"
        )
    prompt = prompt_on_the_wire(request)
    if not dialect.token_prompts and not isinstance(prompt, str):
        raise Unsupported(f"{dialect.title} takes a prompt as text, not as token ids.", param="prompt")
    body = {
        "model": model,
        "prompt": prompt,
        "stream": True,
        "stream_options": {"include_usage": True},
        **_decoding(request, dialect),
        **_limits(request, "max_tokens"),
    }
    if (alternatives := _logprobs(request, dialect)) is not None:
        body["logprobs"] = alternatives
    return with_extra(body, request.extra)


def prompt_on_the_wire(request: Request) -> str | list[int]:
    """A raw prompt as text, or as token ids. Raises `Unsupported` for a mixture, and for what only chats have.

    The server turns the text into tokens: a control token's spelling in it becomes one, whoever wrote it.
    """
    refuse(
        {
            "tools": bool(request.tools),
            "output": request.output is not None,
            "reasoning": request.reasoning is not None,
            "parallel_tool_calls": request.parallel_tool_calls is not None,
        },
        "A raw prompt is completed as text",
        "Ask with messages instead.",
    )
    prompt = request.raw_prompt
    if prompt is None or isinstance(prompt, str):
        return prompt or ""
    if all(isinstance(item, int) for item in prompt):
        return [item for item in prompt if isinstance(item, int)]
    if any(isinstance(item, int) for item in prompt):
        raise Unsupported(
            "A server takes a prompt as text or as token ids, not mixed: give one of the two.", param="prompt"
        )
    return "".join(item.text if isinstance(item, Special) else str(item) for item in prompt)


def refuse_local_only(request: Request) -> None:
    """What no server's wire has a field for."""
    decoding = request.decoding
    if decoding is None and request.n == 1 and not request.trace:
        return
    refuse(
        {
            "n": request.n > 1,
            "trace": request.trace,
            "decoding": isinstance(decoding, Beams),
            "processors": bool(decoding and decoding.processors),
            "contrast": bool(decoding and decoding.contrast),
        },
        "A remote server is asked over OpenAI's wire",
        "A local backend does it; `extra` passes a server's own fields on.",
    )


def refuse(given: Mapping[str, bool], why: str, instead: str) -> None:
    """Raises `Unsupported` for the first option that is given."""
    for name, is_given in given.items():
        if is_given:
            raise Unsupported(f"{why}, which has no {_READABLE.get(name, name)}. {instead}", param=name)


_READABLE = {"n": "n > 1 here", "decoding": "beam search", "output": "structured output", "trace": "trace of the steps"}


def with_extra(body: dict[str, Any], extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """`extra` behind everything else. Raises `InvalidRequest` where it names what the request itself says."""
    for name in extra or {}:
        if not isinstance(name, str):
            raise InvalidRequest(f"extra takes field names as its keys, got {name!r}.", param="extra")
        if name in body or name in _MODELLED:
            option = _MODELLED.get(name, name)
            raise InvalidRequest(f"extra may not set {name!r}: that is what {option} is for.", param="extra")
    return {**body, **(extra or {})}


_MODELLED = {
    "model": "the backend's model",
    "messages": "Request(messages=...)",
    "prompt": "Request(prompt=...)",
    "stream": "stream and ask",
    "stream_options": "the backend",
    "tools": "Request(tools=...)",
    "tool_choice": "Request(tool_choice=...)",
    "parallel_tool_calls": "Request(parallel_tool_calls=...)",
    "response_format": "Request(output=...)",
    "reasoning_effort": "Request(reasoning=...)",
    "temperature": "decoding=Sampling(temperature=...)",
    "top_p": "decoding=Sampling(top_p=...)",
    "seed": "decoding=Sampling(seed=...)",
    "frequency_penalty": "decoding=Sampling(frequency_penalty=...)",
    "presence_penalty": "decoding=Sampling(presence_penalty=...)",
    "logit_bias": "decoding=Sampling(logit_bias=...)",
    "stop": "Request(stop=...)",
    "max_tokens": "Request(max_tokens=...)",
    "max_completion_tokens": "Request(max_tokens=...)",
    "logprobs": "Request(logprobs=...)",
    "top_logprobs": "Request(logprobs=...)",
    "n": "Request(n=...)",
}


def encoded(body: Mapping[str, Any]) -> bytes:
    """The body's bytes. Raises `InvalidRequest` for what JSON cannot hold."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise InvalidRequest(f"The request cannot be written as JSON: {problem}.") from None


def _is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _plain(value: Any) -> Any:
    if _is_mapping(value):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _tools(request: Request, dialect: Dialect) -> dict[str, Any]:
    if not request.tools:
        return {}
    tools = [tool.to_openai() for tool in request.tool_list]
    for tool in tools:
        tool["function"]["name"] = to_wire(tool["function"]["name"])
    body: dict[str, Any] = {"tools": tools}
    choice = request.tool_choice
    kind = "named" if isinstance(choice, NamedTool) else choice
    if kind != "auto" and kind not in dialect.tool_choices:
        instead = "Leave the tools out." if kind == "none" else "Leave it out, and say in words what is to be called."
        raise Unsupported(f"{dialect.title} has no tool_choice={choice!r}. {instead}", param="tool_choice")
    if isinstance(choice, NamedTool):
        body["tool_choice"] = {"type": "function", "function": {"name": to_wire(choice.name)}}
    elif choice != "auto":
        body["tool_choice"] = choice
    if request.parallel_tool_calls is not None and dialect.parallel:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    elif request.parallel_tool_calls is False:
        raise Unsupported(
            f"{dialect.title} has no parallel_tool_calls: its models call as many tools as they like.",
            param="parallel_tool_calls",
        )
    return body


def _output(request: Request, dialect: Dialect) -> dict[str, Any]:
    """The answer's schema. Not `strict`, which some servers take only for schemas in a narrow form."""
    if request.output is None:
        return {}
    if request.tools and not dialect.output_and_tools:
        raise Unsupported(f"{dialect.title} takes tools or structured output, not both in one request.", param="output")
    schema = json_schema(request.output)
    form: dict[str, Any]
    match dialect.output:
        case "json_schema":
            form = {"type": "json_schema", "json_schema": {"name": _OUTPUT_NAME, "schema": schema}}
        case "flat_json_schema":
            form = {"type": "json_schema", "schema": schema}
        case "json_object":
            form = {"type": "json_object", "schema": schema}
        case "tgi_grammar":
            form = {"type": "json_object", "value": schema}
    return {"response_format": form}


def _reasoning(request: Request, dialect: Dialect) -> dict[str, Any]:
    reasoning = request.reasoning
    if reasoning is None:
        return {}
    way = dialect.effort if isinstance(reasoning, str) else dialect.switch
    if way is None:
        raise Unsupported(f"{dialect.title} has no say in how a model reasons. Leave it out.", param="reasoning")
    if isinstance(reasoning, str):
        effort = {"reasoning_effort": reasoning}
        return {"chat_template_kwargs": effort} if way == "template" else effort
    if way == "template":
        return {"chat_template_kwargs": {"enable_thinking": reasoning}}
    return {"reasoning_effort": "medium" if reasoning else "none"}


def _decoding(request: Request, dialect: Dialect) -> dict[str, Any]:
    decoding = request.decoding
    refuse_local_only(request)
    if decoding is None:
        return {}
    body: dict[str, Any] = {}
    for name in _SAMPLING if isinstance(decoding, Sampling) else _SHARED:
        value = getattr(decoding, name)
        if value is None or value == ():
            continue
        spelling = dialect.extras.get(name, name if name in _OPENAI_SAMPLING else None)
        if spelling is None or name in dialect.lacks:
            raise Unsupported(
                f"{dialect.title} has no {name}. Leave it out; `extra` passes a server's own fields on.", param=name
            )
        body[spelling] = dialect.top_k_off if name == "top_k" and value == 0 else value
        body |= dialect.beside.get(name, {})
    if isinstance(decoding, Greedy):
        body["temperature"] = 0.0
    if "logit_bias" in body:
        body["logit_bias"] = {str(token): bias for token, bias in body["logit_bias"].items()}
    return body


_OPENAI_SAMPLING = {"frequency_penalty", "presence_penalty", "temperature", "top_p", "seed", "logit_bias"}
_SHARED = (
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "min_tokens",
    "no_repeat_ngram",
    "banned",
    "logit_bias",
)
_SAMPLING = (*_SHARED, "temperature", "top_p", "top_k", "min_p", "typical_p", "seed")


def _logprobs(request: Request, dialect: Dialect) -> int | None:
    """How many alternatives per token, None without log probabilities."""
    if request.logprobs is not None and request.logprobs > dialect.top_logprobs:
        raise Unsupported(
            f"{dialect.title} gives at most {dialect.top_logprobs} alternatives per token, "
            f"logprobs={request.logprobs} asks for more.",
            param="logprobs",
        )
    return request.logprobs


def _limits(request: Request, max_tokens: str) -> dict[str, Any]:
    body: dict[str, Any] = {"stop": list(request.stops)} if request.stops else {}
    if request.max_tokens is not None:
        body[max_tokens] = request.max_tokens
    return body
