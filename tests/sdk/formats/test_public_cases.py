"""Every case of the peers' own tests, whole and in pieces, scored as their description says."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ambidex import formats
from ambidex.events import ToolCallDelta, ToolCallStarted

from .reading import cases, cut, merged, message, read
from .scoring import COERCION_OPINIONS, OPINIONS, coerced, parsed, same, score

FAMILIES = formats.names()


@pytest.mark.parametrize("family", FAMILIES)
def test_public_cases(shared: Path, family: str) -> None:
    failed = {
        case["id"]: repr(answer)
        for case in cases(shared / "data" / "toolcalls_public.jsonl", family)
        if not score(case, answer := parsed(case)).all
    }
    assert {id: why for id, why in failed.items() if id not in OPINIONS} == {}
    assert {id for id in OPINIONS if id.rpartition("-")[0] == family} <= set(failed)


@pytest.mark.parametrize("family", FAMILIES)
def test_cut_in_any_way_a_case_is_read_the_same(shared: Path, family: str) -> None:
    draw = random.Random(family)
    for file in ("toolcalls_public.jsonl", "toolcalls_disputed.jsonl"):
        for case in cases(shared / "data" / file, family):
            raw, starts = case["raw"], case["starts_in_reasoning"]

            def events(pieces: list[str], case: dict[str, Any] = case, starts: bool = starts) -> object:
                return merged(read(pieces, case["tools"], family=case["family"], starts_in_reasoning=starts))

            whole = events([raw])
            assert events(list(raw)) == whole
            for _ in range(3):
                assert events(cut(raw, draw.choices(range(len(raw) + 1), k=6))) == whole


@pytest.mark.parametrize("family", FAMILIES)
def test_streamed_cases(shared: Path, family: str) -> None:
    whole = {case["id"]: case for case in cases(shared / "data" / "toolcalls_public.jsonl", family)}
    for case in cases(shared / "data" / "toolcalls_streaming_public.jsonl", family):
        starts = case["starts_in_reasoning"]
        events = read(case["chunks"], case["tools"], family=family, starts_in_reasoning=starts)
        assert score({**whole[case["case"]], **case}, message(events)).all or case["case"] in OPINIONS, case["id"]


def read_prefixes(file: Path, family: str, step: int) -> None:
    """Without an exception."""
    for case in cases(file, family):
        raw, starts = case["raw"], case["starts_in_reasoning"]
        for end in range(len(raw) % step, len(raw), step):
            formats.parse(family, raw[:end], case["tools"], starts_in_reasoning=starts)


@pytest.mark.parametrize("family", FAMILIES)
def test_prefixes_are_read(shared: Path, family: str) -> None:
    read_prefixes(shared / "data" / "toolcalls_public.jsonl", family, step=7)


@pytest.mark.nightly
@pytest.mark.parametrize("file", ["toolcalls_public.jsonl", "toolcalls_disputed.jsonl"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_prefix_is_read(shared: Path, family: str, file: str) -> None:
    read_prefixes(shared / "data" / file, family, step=1)


TOLD_OTHERWISE = (
    "```json\n<function_call>",  # a fence is no call here: one peer took it for one for a while
    "<parameter=numbers>[1,",  # without a schema a value is text, which is told as it comes
)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_told_of_a_call_that_is_not_over(shared: Path, family: str) -> None:
    for case in cases(shared / "data" / "toolcalls_partial.jsonl", family):
        if any(text in case["raw"] for text in TOLD_OTHERWISE):
            continue
        expected = case["expected_so_far"]
        starts = expected["reasoning"] != "" and case["raw"].startswith(expected["reasoning"])
        events = formats.get(family).parser(starts_in_reasoning=starts).feed(case["raw"])
        told = "".join(event.json for event in events if isinstance(event, ToolCallDelta))
        names = [event.name for event in events if isinstance(event, ToolCallStarted)]
        assert names == [call["name"] for call in expected["tool_calls"]], case
        wanted = "".join(call["arguments_text"] for call in expected["tool_calls"])
        assert told.replace(" ", "") == wanted.replace(" ", ""), case


def test_texts_are_typed_by_their_schema(shared: Path) -> None:
    file = shared / "data" / "coercion_cases.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    failed = {(*case["declared_types"], case["raw_text"]) for case in lines if not same(coerced(case), case["want"])}
    assert failed == set(COERCION_OPINIONS)
