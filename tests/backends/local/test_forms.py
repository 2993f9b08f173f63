"""Forms without a model: whatever is drawn, what comes fits, within the tokens that there are, and forks go apart."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest
import torch
from tests.backends.local.conftest import VOCABULARY, text_tokenizer
from tests.backends.local.forms import Chance, bfcl, text_of, walk
from tests.backends.local.test_constraint import TYPES, Invoice, Node, add
from tokenizers import Tokenizer as BareTokenizer
from tokenizers import models, trainers
from transformers import PreTrainedTokenizerFast

from ambidex import Tool
from ambidex.errors import InvalidRequest, Unsupported
from ambidex.formats import get
from ambidex.grammar import Grammar, Json, Lark, Regex, one_of
from ambidex.output import form, validate
from ambidex.schema_check import schema_problems
from ambidex_backends.local.constraint import MAX_DIGITS, Constraint
from ambidex_backends.local.grammars import Grammars
from ambidex_backends.local.held_texts import HeldTexts
from ambidex_backends.local.tokenizer import Tokenizer
from ambidex_backends.local.triggered import TriggeredConstraint

ENDS = frozenset({2})


class Forms:
    """The grammars of one tokenizer."""

    def __init__(self, tokenizer: Tokenizer, ends: frozenset[int]) -> None:
        self.tokenizer, self.ends, self.size = tokenizer, ends, tokenizer.vocab_size
        self.grammars = Grammars(tokenizer, ends, self.size)

    def answer(self, grammar: Grammar, left: int, seed: int) -> tuple[str, Constraint]:
        constraint = self.grammars.constraint(grammar, left)
        ids = walk(constraint, Chance(seed, self.size), left, self.ends)
        assert len(ids) <= left
        return text_of(self.tokenizer, ids), constraint


@pytest.fixture(scope="module")
def small() -> Forms:
    return Forms(Tokenizer(text_tokenizer()), ENDS)


@pytest.fixture(scope="module")
def large(shared: Path) -> Forms:
    """GPT-2's 50,257 tokens."""
    from transformers import AutoTokenizer

    tokenizer = Tokenizer(AutoTokenizer.from_pretrained(str(shared / "data" / "tokenizers" / "gpt2")))
    return Forms(tokenizer, frozenset({tokenizer.special["<|endoftext|>"]}))


@pytest.fixture(params=["small", "large"])
def forms(request: pytest.FixtureRequest) -> Forms:
    found: Forms = request.getfixturevalue(request.param)
    return found


def fitting_answers(forms: Forms, output: Any, limits: Sequence[int]) -> list[tuple[str, Constraint]]:
    """One for each limit of tokens, least first, that is not refused."""
    answers: list[tuple[str, Constraint]] = []
    for seed, left in enumerate(limits):
        try:
            answers.append(forms.answer(form(output), left, seed))
        except InvalidRequest:
            assert not answers, "what fits into fewer tokens fits into more"
    return answers


@pytest.mark.parametrize("output", TYPES, ids=str)
def test_every_answer_is_a_value_of_its_type(forms: Forms, output: Any) -> None:
    answers = fitting_answers(forms, output, (20, 40, 60, 90, 140, 200, 400))
    for text, _ in answers:
        validate(text, output)
    assert len(answers) >= 3


def test_depth_without_end_is_ended(forms: Forms) -> None:
    """Each level of a tree makes the way out longer."""
    nested = 'start: tree\ntree: "(" tree? "x" tree? ")"'
    for seed in range(4):
        for grammar in (form(Node), Lark(nested)):
            text, constraint = forms.answer(grammar, 300, seed)
            assert constraint.is_complete
            if grammar == Lark(nested):
                assert text.count("(") == text.count(")") == text.count("x")
            else:
                validate(text, Node)


class Rising(pydantic.BaseModel):
    """Each way in makes the way out much longer."""

    first: Literal["a", "b"] = "a"
    code: str = pydantic.Field(default="b", pattern="^(b|a[0-9]{40})$")
    more: list[Rising] = []
    wide: list[tuple[int, int, int, int, int, int, int, int, str, str, str, str]] = []


MUCH_AT_ONCE = (Rising, list[Rising], list[Invoice], Regex("b|a[0-9]{60}|c(d|e[a-z]{50})"))


@pytest.mark.parametrize("output", MUCH_AT_ONCE, ids=str)
def test_what_opens_much_at_once_is_ended_in_time(forms: Forms, output: Any) -> None:
    for seed in range(6):
        for left in (70, 100, 140, 260):
            text, constraint = forms.answer(form(output), left, seed)
            validate(text, output)
            assert constraint.is_complete
            if isinstance(output, Regex):
                assert re.fullmatch(output.pattern, text)


def test_half_a_character_is_reckoned_with(small: Forms) -> None:
    """Nearly all single bytes: a lead byte needs up to three more."""
    for seed in range(25):
        for left in range(60, 72, 4):
            text, constraint = small.answer(form(TYPES[5]), left, seed)
            validate(text, TYPES[5])
            assert constraint.is_complete


def text_with(**held: Any) -> Any:
    return Annotated[str, pydantic.Field(**held)]


class Mail(pydantic.BaseModel):
    address: str = pydantic.Field(pattern=r"^[\w.]+@[\w.]+\.com$")
    code: str = pydantic.Field(pattern=r"^[a-z]+-\d{2}$")


HELD_TEXTS = (
    Mail,
    list[Mail],
    text_with(pattern="é+"),
    text_with(pattern="^a|b$"),
    text_with(pattern="^(.{5})*$"),
    text_with(pattern='^"[^"]*"x$'),
    text_with(pattern=r"^[^a]*\\z$"),
    text_with(pattern="^[a-z.]*x$", min_length=30),
    text_with(min_length=30),
    dict[text_with(pattern="^[a-z]{3,}-$"), text_with(pattern="^[a-z]+!$")],  # type: ignore[misc]  # a type, as a value
    Regex(r"[a-z.]+@[a-z.]+\.com"),
    Regex("[a-z]+!|b{20}"),
)


@pytest.mark.parametrize("output", HELD_TEXTS, ids=str)
def test_a_text_with_a_pattern_is_ended_in_time_though_letters_may_follow_for_ever(forms: Forms, output: Any) -> None:
    answers = fitting_answers(forms, output, (1, 3, 8, 16, 24, 34, 50, 100))
    for text, constraint in answers:
        validate(text, output)
        if isinstance(output, Regex):
            assert re.fullmatch(output.pattern, text)
        assert constraint.is_complete
    assert len(answers) >= 2


def test_arguments_with_patterns_are_ended_in_every_form_of_a_call(small: Forms) -> None:
    tool = Tool("mail", "Writes one.", Mail.model_json_schema())
    for name in ("hermes", "qwen3_coder", "functiongemma", "pythonic"):
        calls = get(name).call_form([tool]).whole(several=False)
        shortest = getattr(small.grammars.constraint(calls, 500), "shortest", None)
        assert shortest is not None, name
        for seed in range(3):
            _, constraint = small.answer(calls, shortest + 20, seed)
            assert constraint.is_complete, name


def test_what_cannot_be_ended_in_time_is_refused_however_long_it_is(forms: Forms) -> None:
    for least in (200, 600, 3000):
        with pytest.raises(InvalidRequest, match="too few"):
            forms.grammars.constraint(form(text_with(min_length=least)), 40)


@dataclass
class Sum:
    left: Sum | int  # a greedy way goes on into sums for ever
    right: Sum | int


@pytest.mark.parametrize(
    "output",
    [Sum, list[Sum], text_with(min_length=20_000), Regex(r"(\w+\s){10}end"), text_with(pattern=r"^[^\n]{80,}\.$")],
    ids=str,
)
def test_a_form_out_of_which_no_way_is_found_is_held_all_the_same(
    forms: Forms, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for, found = HeldTexts._limited_way, list[object]()

    def counted(*given: Any) -> list[int] | None:
        way = looked_for(*given)
        found.extend([way] if given[2] else [])  # of what has not begun little is tried
        return way

    monkeypatch.setattr(HeldTexts, "_limited_way", counted)
    constraint = forms.grammars.constraint(form(output), 100_000)
    assert not constraint.is_complete
    assert found.count(None) <= 1  # a search that failed is not made again at each step


def check_tools(forms: Forms, shared: Path, step: int) -> int:
    """How many functions there were: the arguments of each fit its schema."""
    checked = 0
    for seed, tool in enumerate(list(bfcl(shared))[::step]):
        text, _ = forms.answer(Json(tool.parameters, is_checked_later=True), 160, seed)
        assert schema_problems(tool.parameters, json.loads(text)) == [], tool.name
        checked += 1
    return checked


def test_arguments_of_tools_that_others_wrote(large: Forms, shared: Path) -> None:
    assert check_tools(large, shared, 40) > 40


@pytest.mark.nightly
def test_arguments_of_all_tools_that_others_wrote(large: Forms, shared: Path) -> None:
    assert check_tools(large, shared, 1) > 2000


class Digits(Chance):
    """Scores of a model that would rather write one digit after the other."""

    def __init__(self, forms: Forms, digit: str) -> None:
        super().__init__(0, forms.size)
        wanted = (".", digit, f"0.{digit}")
        self._rather = [id for id in range(forms.size) if forms.tokenizer.token_bytes(id).decode("latin-1") in wanted]

    def logits(self) -> torch.Tensor:
        scores = super().logits()
        scores[self._rather] += 50
        return scores


@pytest.mark.parametrize("digit", ["0", "4"])
@pytest.mark.parametrize("output", [float, list[float], dict[str, float]], ids=str)
def test_a_number_comes_to_its_end(forms: Forms, output: Any, digit: str) -> None:
    grammar = form(output)
    ids = walk(forms.grammars.constraint(grammar, 3000), Digits(forms, digit), 3000, forms.ends)
    text = text_of(forms.tokenizer, ids)
    validate(text, output)
    assert max(map(len, re.findall("[0-9]+", text)), default=0) <= 2 * MAX_DIGITS


def test_digits_that_were_asked_for_are_written(forms: Forms) -> None:
    ids = walk(forms.grammars.constraint(Regex("[0-9]{200}"), 300), Digits(forms, "4"), 300, forms.ends)
    assert len(text_of(forms.tokenizer, ids)) == 200


# -- forks


def constraints(forms: Forms) -> list[Constraint]:
    calls = get("hermes").call_form([add])
    rest = calls.rest(several=True)
    return [
        forms.grammars.constraint(form(TYPES[5]), 200),
        forms.grammars.constraint(Regex("[ab]{5,9}"), 50),
        forms.grammars.constraint(one_of("north", "northern", "nothing", "south"), 50),
        TriggeredConstraint(
            forms.grammars.trigger("<"),
            lambda left: forms.grammars.constraint(Regex("[0-9]{3}>"), left),
            ends=forms.ends,
            again=True,
        ),
        TriggeredConstraint(
            forms.grammars.trigger(calls.opening), lambda _: forms.grammars.constraint(rest, None), ends=forms.ends
        ),
    ]


def steps(constraint: Constraint, ids: list[int], chance: Chance, count: int, ends: frozenset[int]) -> list[int]:
    """`ids`, and what so many draws add."""
    ids = list(ids)
    for _ in range(count):
        if constraint.is_complete or len(ids) >= 100 or (ids and ids[-1] in ends):
            break
        ids += constraint.take(int(constraint.masked(chance.logits()).argmax()), 100 - len(ids))
    return ids


def test_a_fork_goes_on_as_the_original_would(small: Forms) -> None:
    for made in constraints(small):
        first = made.begin(100)
        for before in (0, 1, 3, 6):
            original, ids = begun(made, first, before, small)
            for seed, twin in enumerate((original.fork(), original.fork(), original)):
                again, same = begun(made, first, before, small)
                assert same == ids
                written = steps(twin, ids, Chance(seed, small.size), 30, small.ends)
                assert written == steps(again, ids, Chance(seed, small.size), 30, small.ends)
                assert twin.is_complete == again.is_complete


def begun(made: Constraint, first: list[int], before: int, forms: Forms) -> tuple[Constraint, list[int]]:
    constraint = made.fork()
    return constraint, steps(constraint, first, Chance(before, forms.size), before, forms.ends)


def test_a_mask_that_is_being_made_is_not_the_fork_s(small: Forms) -> None:
    with ThreadPoolExecutor(1) as workers:
        original = small.grammars.constraint(Regex("[ab]c"), 10)
        original.prepare(workers)
        twin = original.fork()
        logits = Chance(0, small.size).logits()
        taken = twin.take(small.grammars.ids("a")[0], 10)
        assert text_of(small.tokenizer, taken) == "ac"
        masked = original.masked(logits)
        assert {text_of(small.tokenizer, [id]) for id in masked.isfinite().nonzero().flatten().tolist()} <= {"a", "b"}


# -- tokens


def test_values_that_spell_a_control_token_are_texts(small: Forms) -> None:
    for values in (("<|im_end|>",), ("<|im_end|>", "x"), ("a<|im_start|>b", "<|endoftext|>")):
        schema = {"enum": list(values)}
        for seed in range(4):
            assert json.loads(small.answer(Json(schema), 40, seed)[0]) in values
        for special in small.tokenizer.special_ids:
            assert special not in walk(
                small.grammars.constraint(Json(schema), 40), Chance(1, small.size), 40, frozenset()
            )
    assert small.grammars.ids("a<|im_end|>")[-1] == small.tokenizer.special["<|im_end|>"]


@pytest.fixture
def few_characters() -> Forms:
    """A tokenizer that has letters and spaces alone."""
    tokenizer = BareTokenizer(models.BPE(unk_token=None))
    trainer = trainers.BpeTrainer(vocab_size=60, special_tokens=["<|im_end|>"], show_progress=False)
    tokenizer.train_from_iterator(["no nothing no way int"], trainer)
    return Forms(Tokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")), frozenset({0}))


@pytest.mark.parametrize(
    "output", [Literal["no", "nothing"], int, float, list[str], TYPES[5], Regex("no[0-9]")], ids=str
)
def test_what_the_tokens_cannot_write_is_refused(few_characters: Forms, output: Any) -> None:
    with pytest.raises(Unsupported, match=r"with this model's tokens, which lack .*0123456789"):
        few_characters.answer(form(output), 40, 0)
    for grammar in (one_of("no", "nothing"), Regex("no( thing)?")):
        assert few_characters.answer(grammar, 40, 0)[0].startswith("no")


@pytest.mark.parametrize("ends", [frozenset[int](), frozenset({9999}), frozenset({VOCABULARY - 1})])
def test_without_an_end_token_only_a_choice_can_be_held(ends: frozenset[int]) -> None:
    forms = Forms(Tokenizer(text_tokenizer()), ends)
    assert not forms.grammars.hold_all_forms
    assert forms.answer(one_of("no", "nothing"), 40, 0)[0] in ("no", "nothing")
    with pytest.raises(Unsupported, match="no end token"):
        forms.answer(form(int), 40, 0)


def test_an_end_token_that_there_is_not_is_passed_over() -> None:
    forms = Forms(Tokenizer(text_tokenizer()), ENDS | {9999})
    for grammar in (form(int), one_of("no", "nothing")):
        assert forms.answer(grammar, 40, 0)[0] == Forms(Tokenizer(text_tokenizer()), ENDS).answer(grammar, 40, 0)[0]


# -- choices


def test_a_choice_that_is_too_long_is_not_begun(small: Forms) -> None:
    choices = one_of("no", "yes, by all means and with pleasure")
    short = len(small.grammars.ids("no"))
    for seed in range(4):
        assert small.answer(choices, short, seed)[0] == "no"
    with pytest.raises(InvalidRequest, match="too few"):
        small.answer(one_of("by all means"), 1, 0)


def test_models_with_the_same_tokens_share_what_was_made_for_them(small: Forms) -> None:
    other = Forms(Tokenizer(text_tokenizer()), ENDS)
    assert other.grammars._shared() is small.grammars._shared()
    assert Forms(Tokenizer(text_tokenizer()), frozenset({1})).grammars._shared() is not small.grammars._shared()
