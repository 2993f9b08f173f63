"""The tables of docs/wire.md, made from the code: `python -m tests.backends.http.dialect_table` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ambidex_backends.http.dialect import OPENAI, OUTPUT_FORMS, ROUTER, SELF_HOSTED, Dialect
from ambidex_backends.http.model_family import FAMILIES
from ambidex_backends.http.provider_routes import PROVIDERS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "wire.md"


def code(*words: str) -> str:
    return ", ".join(f"`{word}`" for word in words) or "-"


def extras(dialect: Dialect) -> str:
    spelled = [name if name == field else f"{name} as {field}" for name, field in dialect.extras.items()]
    beside = [f"{field}={value}" for fields in dialect.beside.values() for field, value in fields.items()]
    return code(*spelled) + (f" with {code(*beside)}" if beside else "")


def reasoning(dialect: Dialect) -> str:
    switch = {
        "template": "`enable_thinking` of the template",
        "effort": "`reasoning_effort` medium, none",
        None: "`Unsupported`",
    }
    effort = {"field": "`reasoning_effort`", "template": "`reasoning_effort` of the template", None: "`Unsupported`"}
    return f"{switch[dialect.switch]}; efforts: {effort[dialect.effort]}"


def sent_back(dialect: Dialect) -> str:
    when = {"always": "always", "loop": "in a tool loop, to families that want it", "never": "never"}[dialect.replay]
    return when if dialect.replay == "never" else f"{when}: {code(*dialect.reasoning_fields)}"


ROWS: Sequence[tuple[str, Callable[[Dialect], str]]] = (
    ("`dialect=`", lambda dialect: code(dialect.name)),
    ("`response_format`", lambda dialect: code(OUTPUT_FORMS[dialect.output])),
    ("tools and `output` together", lambda dialect: "yes" if dialect.output_and_tools else "`Unsupported`"),
    ("`tool_choice` beside auto", lambda dialect: ", ".join(sorted(dialect.tool_choices)) or "`Unsupported`"),
    ("`parallel_tool_calls=False`", lambda dialect: "yes" if dialect.parallel else "`Unsupported`"),
    ("sampling beyond OpenAI's", extras),
    ("of OpenAI's it lacks", lambda dialect: code(*sorted(dialect.lacks))),
    ("`max_tokens` goes as", lambda dialect: code(dialect.max_tokens)),
    ("`reasoning=`", reasoning),
    ("earlier reasoning is sent back", sent_back),
    ("ids of calls", lambda dialect: dialect.call_ids),
    ("`logprobs` at most", lambda dialect: str(dialect.top_logprobs)),
    (
        "raw prompts",
        lambda dialect: (
            "`Unsupported`" if not dialect.completions else "text, ids" if dialect.token_prompts else "text"
        ),
    ),
    ("pictures by address", lambda dialect: "yes" if dialect.image_urls else "`Unsupported`"),
)


def lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ["---"] * len(header), *rows])


def dialects() -> str:
    """Kinds of servers, one column each."""
    kinds = (ROUTER, OPENAI, *SELF_HOSTED)
    return lines(
        ["", *(kind.title for kind in kinds)], [[name, *(cell(kind) for kind in kinds)] for name, cell in ROWS]
    )


def providers() -> str:
    rows = [
        [
            code(name),
            code(item.chat),
            code(item.completions) if item.completions else "-",
            code(OUTPUT_FORMS[item.dialect.output]),
            code(item.host) if item.host else "-",
        ]
        for name, item in PROVIDERS.items()
    ]
    return lines(["provider", "chat", "raw prompts", "`response_format`", "at home"], rows)


def families() -> str:
    rows = [
        [
            code(*family.marks) + (f", not {code(*family.but_not)}" if family.but_not else ""),
            family.call_ids or "as the server takes them",
            "yes" if family.wants_reasoning else "no",
        ]
        for family in FAMILIES
    ]
    return lines(["the model's name holds", "ids of calls", "wants its reasoning back in a tool loop"], rows)


TABLES = {"dialects": dialects, "providers": providers, "families": families}


def page_with_tables(text: str) -> str:
    """The page with each table put between its marks."""
    for name, table in TABLES.items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = mark.subn(lambda found, table=table: f"{found[1]}{table()}\n{found[2]}", text)  # type: ignore[misc]
        assert count == 1, name
    return text


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
