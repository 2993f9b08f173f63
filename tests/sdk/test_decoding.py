"""`Greedy`, `Sampling` and `Beams` refuse what makes no sense when they are made."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import pytest

from ambidex import Beams, Greedy, Sampling
from ambidex.errors import InvalidRequest


@pytest.mark.parametrize("kind", [Greedy, Sampling, Beams])
def test_nothing_is_set_by_default(kind: Any) -> None:
    unset = {field.name: getattr(kind(), field.name) for field in dataclasses.fields(kind)}
    if kind is Beams:
        assert unset.pop("width") == 4
    assert all(value in (None, ()) for value in unset.values())


@pytest.mark.parametrize(
    "value",
    [
        Greedy(repetition_penalty=1.1, banned=("a",), logit_bias={3: -100}),
        Sampling(temperature=0, top_k=0, top_p=1, min_p=0, typical_p=1, seed=2**63 - 1),
        Beams(width=6, groups=3, diversity_penalty=0.5, length_penalty=-1, early_stopping=True),
    ],
)
def test_good_values_are_values(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert dataclasses.replace(value) == value
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.banned = ()


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (Sampling, {"temperature": -0.1}, "temperature must be at least 0"),
        (Sampling, {"temperature": math.nan}, "finite"),
        (Sampling, {"temperature": "1"}, "temperature takes a finite number, got '1'"),
        (Sampling, {"temperature": True}, "temperature"),
        (Sampling, {"top_k": 1.5}, "top_k takes a whole number"),
        (Sampling, {"top_k": -1}, "top_k"),
        (Sampling, {"top_p": 0}, "top_p must be more than 0 and at most 1"),
        (Sampling, {"top_p": 1.01}, "top_p"),
        (Sampling, {"min_p": 2}, "min_p"),
        (Sampling, {"typical_p": 0}, "typical_p"),
        (Sampling, {"seed": -1}, "seed"),
        (Sampling, {"seed": 2**63}, "seed"),
        (Greedy, {"repetition_penalty": 0}, "repetition_penalty must be more than 0"),
        (Greedy, {"frequency_penalty": 2.1}, "frequency_penalty"),
        (Greedy, {"presence_penalty": -2.1}, "presence_penalty"),
        (Greedy, {"logit_bias": {3: 101}}, r"logit_bias\[3\]"),
        (Greedy, {"logit_bias": {"a": 1}}, "token id"),
        (Greedy, {"logit_bias": [1]}, "mapping"),
        (Greedy, {"no_repeat_ngram": 0}, "no_repeat_ngram"),
        (Beams, {"contrast": -0.1}, "contrast"),
        (Greedy, {"min_tokens": -1}, "min_tokens"),
        (Greedy, {"banned": [""]}, "banned"),
        (Greedy, {"banned": [1]}, "banned"),
        (Greedy, {"banned": 5}, "banned takes one non-empty text or several"),
        (Greedy, {"processors": [1]}, "processors"),
        (Greedy, {"processors": 5}, "processors takes functions"),
        (Greedy, {"temperature": 1}, "Greedy has no option 'temperature'"),
        (Sampling, {"temperatur": 1}, "Did you mean 'temperature'"),
        (Beams, {"width": 0}, "width"),
        (Beams, {"width": 5, "groups": 2}, "groups must divide width"),
        (Beams, {"length_penalty": math.inf}, "length_penalty"),
        (Beams, {"diversity_penalty": -1}, "diversity_penalty"),
    ],
)
def test_bad_values_are_refused(kind: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        kind(**options)


@pytest.mark.parametrize(("option", "value"), [("width", 0), ("top_p", 2), ("banned", [""])])
def test_the_error_names_the_option(option: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        (Beams if option == "width" else Sampling)(**{option: value})
    assert caught.value.param == option


def test_one_text_or_function_may_stand_for_several() -> None:
    def keep(logits: Any, seen: Any) -> Any:
        return logits

    loose: Any = Greedy
    assert loose(banned="no").banned == ("no",)
    assert loose(banned=None, processors=None) == Greedy()
    assert loose(processors=keep) == loose(processors=[keep]) == Greedy(processors=(keep,))
