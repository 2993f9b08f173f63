"""The tools that Pocket learns from: what is said and what stands in the arguments belong together."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from itertools import combinations, islice
from pathlib import Path

import pytest
from examples.pocket import skills
from examples.pocket import words as w
from examples.pocket.daily_skills import DAILY
from examples.pocket.data import evaluation_dialogues, offer, training_families
from examples.pocket.frames import FRAMES, Frame, frame_skill
from examples.pocket.grading import Reply as Written
from examples.pocket.grading import parse_calls, valid
from examples.pocket.home_skills import HOME
from examples.pocket.measures import LEARNT, MEASURES, measure_skill, measures
from examples.pocket.more_frames import MORE_FRAMES
from examples.pocket.more_skills import MORE
from examples.pocket.offered import (
    Request,
    Tool,
    choices,
    coded,
    fill,
    sample,
)
from examples.pocket.rivals import NEAR, TWINS, rivals, same, twins
from examples.pocket.skill import Skill, skill
from examples.pocket.work_skills import WORK
from hypothesis import given
from hypothesis import strategies as st

seeds = st.integers(0, 10**6)


def requests(tool: Tool, count: int) -> Iterator[Request]:
    for _ in range(count):
        yield from tool.request(2 if tool.joinable() and tool.words.rng.random() < 0.2 else 1)
        missing, before = tool.missing(), tool.request()[0]
        following = tool.follow(before)
        yield from [missing[2]] if missing else []
        yield from [following] if following else []


def check(tool: Tool, request: Request) -> None:
    """The arguments fit the schema, and the words are whole."""
    call = json.dumps({"name": tool.name, "arguments": request.arguments})
    text = f"<tool_call>\n{call}\n</tool_call>"
    assert valid(Written(text, parse_calls(text), True), [{"type": "function", "function": tool.function}]), call
    assert set(request.arguments) >= {tool.spelling[slot] for slot in tool.required}
    for value in filter(None, request.spoken.values()):  # what is left was written by hand
        request.text = request.text.replace(value, "X")
    assert not re.search(r"  |[{}<>]|^[ ,]| [.,?!]|,[.,?!]|[ ,]$", request.text), request.text
    assert not re.search(r"[{}<>]", f"{tool.function['description']} {request.answer.partition(': ')[0]}"), (
        request.answer
    )


@given(seeds)
def test_an_enum_is_said_in_other_words_and_given_as_the_schema_has_it(seed: int) -> None:
    words = w.Words(random.Random(seed))
    table = {"Fri": {"Friday", "Fridays"}, "Sat": {"Saturday"}, "Sun": {"Sun"}}
    said, value = sample(words, "enum:Fri~Friday/Fridays,Sat~Saturday,Sun")
    assert said in table[value]
    said, value = sample(words, "enumint:1~first,2~second,3")
    assert (said, value) in [("first", 1), ("second", 2), ("3", 3)]
    said, value = sample(words, "free:Fri~Friday,Sat~Saturday")  # no schema says "Fri"
    assert said == value
    source = skill(
        "plan", "Plan it.", "day|d = enum:Fri~Friday/Fridays,Sat~Saturday", "Plan it on {day}.", "ok", "Done."
    )
    tool = Tool(words, source)
    request = tool.request()[0]
    (argument,) = request.arguments.values()
    assert '"enum": ["Fri", "Sat"]' in json.dumps(tool.function)
    assert request.text == f"Plan it on {request.spoken['day']}."
    assert request.spoken["day"] in table[argument]


@given(
    seeds,
    st.lists(
        st.sampled_from(["slow", "quick", "front left", "front right", "e2", "off", "médium"]),
        min_size=1,
        max_size=4,
        unique=True,
    ),
)
def test_values_as_programs_spell_them_are_as_many_and_said_as_before(seed: int, values: list[str]) -> None:
    kind = coded(w.Words(random.Random(seed)), "enum:" + ",".join(values), "mode")
    pairs = choices(kind.removeprefix("enum:"))
    assert [ways for _, ways in pairs] == [[value] for value in values]
    assert len({code.lower() for code, _ in pairs}) == len(values)
    assert all(code and " " not in code for code, _ in pairs) or kind == "enum:" + ",".join(values)


def test_where_nothing_is_said_no_gap_is_left() -> None:
    words = w.Words(random.Random(1))
    for text, whole in [
        ("Wake me at {time} {daily}.", "Wake me at 7  pm."),
        ("{daily} wake me at {time}, please", "Wake me at 7  pm, please"),
        ("{daily}, wake me, {daily}, at {time}, {daily}.", "Wake me, at 7  pm."),
        ("At {time} {daily}: wake me, {daily}", "At 7  pm: wake me"),
    ]:
        assert fill(words, text, {"time": "7  pm", "daily": ""}) == whole  # the value stays as it is
    assert fill(words, "At {time} {daily}.", {"time": "7", "daily": "every day"}) == "At 7 every day."


@given(seeds)
def test_a_flag_that_nothing_is_said_of_is_false_if_it_is_needed_and_missing_otherwise(seed: int) -> None:
    words = w.Words(random.Random(seed))
    for mark in ("", "?"):
        source = skill(
            "wake",
            "Wake.",
            f"daily{mark} = bool:every day/daily,",
            "Wake me {daily}." if not mark else "Wake me.",
            "ok",
            "Done.",
        )
        tool = Tool(words, source)
        request = tool.request()[0]
        given_flag = next(iter(request.arguments.values()), None)
        if request.text == "Wake me.":
            assert given_flag is (None if mark else False)
        else:
            assert given_flag is True
            assert request.text in ("Wake me every day.", "Wake me daily.")


@pytest.mark.parametrize("frame", FRAMES + MORE_FRAMES, ids=lambda frame: str(frame.names.split()[0]))
def test_every_sentence_frame_makes_calls_that_fit_its_schema(frame: Frame) -> None:
    for seed in range(3):
        tool = Tool(words := w.Words(random.Random(seed)), frame_skill(words, frame))
        for request in requests(tool, 3):
            check(tool, request)


@given(seeds)
def test_quantities_are_asked_for_in_words_that_belong_to_one_of_them(seed: int) -> None:
    words = w.Words(random.Random(seed))
    offered = measures(words, 4)
    for one, other in combinations(offered, 2):
        assert not same(one, other)
    for source in offered:
        tool = Tool(words, source)
        for request in requests(tool, 2):
            check(tool, request)
    number = LEARNT[seed % len(LEARNT)]
    for thing in ("lamp", "kite"):  # the same question, unnamed: never together
        assert same(measure_skill(words, number, "lamp"), measure_skill(words, number, thing))
    hows = [set(filter(None, measure.how.split("|"))) for measure in MEASURES]
    assert not any(one & other for one, other in combinations(hows, 2))


@given(seeds)
def test_quantities_keep_to_the_training_side_of_the_split(seed: int) -> None:
    for source in measures(w.Words(random.Random(seed)), 4):
        assert not any(map(w.is_held_out, source.parts[1].split()))


def test_quantities_and_said_forms_stand_in_training_and_said_forms_not_in_the_evaluation() -> None:
    words = w.Words(random.Random(3))
    together = 0
    for _ in range(300):
        offered = [tool.source for tool in offer(words, [], 3, 1.0)]
        assert not any(same(one, other) for one, other in combinations(offered, 2))
        together += sum(source.kind.startswith("measure") for source in offered) > 1
    assert together > 5
    text = json.dumps([list(family) for family in islice(training_families(11), 150)])
    assert re.search(r"How (deep|heavy|wide|bright|steep) ", text)
    assert not twins(measure_skill(words, LEARNT[0]), measure_skill(words, LEARNT[2]))
    for dialogue in evaluation_dialogues(5):
        for tool in dialogue["tools"]:
            for schema in tool["function"]["parameters"]["properties"].values():
                assert not {"Mon", "P1", "XL"} & set(schema.get("enum", []))


NEW = HOME + WORK
KNOWN = skills.TRAIN + MORE + DAILY + NEW


@pytest.mark.parametrize("source", NEW, ids=lambda source: str(source.names[0]))
def test_every_everyday_tool_makes_calls_that_fit_its_schema(source: Skill) -> None:
    needed = {slot for slot, (_, _, required) in source.params.items() if required}
    for ask in source.asks:
        assert needed <= set(re.findall(r"\{(\w+)\}", ask)), ask
    for slot, lacking in source.missing.items():
        for ask in lacking:
            assert set(re.findall(r"\{(\w+)\}", ask)) == needed - {slot}, ask
    assert min(len(source.names), len(source.asks) - 2, len(source.about) + 1) >= 3
    for seed in range(4):
        tool = Tool(w.Words(random.Random(seed)), source)
        coded_slots = {slot: dict(choices(kind.partition(":")[2])) for slot, kind in tool.kinds.items() if "~" in kind}
        for request in requests(tool, 6):
            for slot, table in coded_slots.items():
                assert request.spoken[slot] in table[str(request.arguments[tool.spelling[slot]])]
            check(tool, request)


def test_the_newer_tools_repeat_none_that_measures() -> None:
    held_out = {name for source in skills.HELD_OUT for name in source.names}
    for file, measuring in (("evaluation_tasks", "unseen"), ("reader_tries", "")):
        tasks = json.loads((Path(w.__file__).parent / f"{file}.json").read_text(encoding="utf-8"))
        chosen = [task for task in tasks if str(task["id"]).startswith(measuring)]
        held_out |= {tool["function"]["name"] for task in chosen for tool in task["tools"]}
    assert len(held_out) > 60
    assert not held_out & {name for source in NEW for name in source.names}


def test_tools_are_told_apart_by_names_that_exist() -> None:
    names = [source.names[0] for source in KNOWN]
    assert len(names) == len(set(names))
    near = set(" ".join(NEAR).replace(":", "").split())
    assert near <= set(names)
    assert set().union(*TWINS) <= {*names, *(source.names[0] for source in skills.HELD_OUT)}
    assert {source.names[0] for source in NEW} <= near  # each has tools that are like it
    table = dict(zip(names, KNOWN, strict=True))
    assert rivals(table["lamp_color"], table["set_light"])
    assert not twins(table["lamp_color"], table["set_light"])
    assert twins(table["skip_song"], table["play_music"])
    assert not rivals(table["weather"], table["set_timer"])
