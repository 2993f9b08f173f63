"""The files that make Pocket do what they teach."""

from __future__ import annotations

import hashlib
import json
import math
import random
import subprocess
import sys
from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from examples.pocket import skills
from examples.pocket import words as w
from examples.pocket.curves import draw, named_log
from examples.pocket.daily_skills import DAILY
from examples.pocket.data import evaluation_dialogues, offer, training_dialogues, training_families
from examples.pocket.dataset import LENGTH as ROW
from examples.pocket.dataset import Encoder, Rows, pack, render
from examples.pocket.evaluate import whole_number
from examples.pocket.export import SHIPPED
from examples.pocket.grading import Case, Reply, cases, parse_calls, right, valid
from examples.pocket.make import KEPT, begin, check_run, count, positive, run_of, share
from examples.pocket.model import FACTOR, Pocket, Shape, stretched
from examples.pocket.more_skills import MORE
from examples.pocket.optimizer import Muon, orthogonal
from examples.pocket.rivals import rivals, twins
from examples.pocket.tokenizer import CONTEXT, TEMPLATE, letter_pieces, train_tokenizer
from examples.pocket.train import Progress, Recipe, load_model, save_checkpoint, train, weights_of
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
LENGTH = 256
PAD = 0


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    made: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(SHIPPED)
    return made


def rows_of(tokenizer: PreTrainedTokenizerFast, seed: int, families: int) -> Rows:
    encoder = Encoder(tokenizer, LENGTH)
    pieces = [piece for family in islice(training_families(seed), families) for piece in encoder.pieces(family)]
    return pack(pieces, LENGTH, PAD)


def tensors(rows: Rows) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(a.astype(np.int64)) for a in (rows.ids, rows.position, rows.family, rows.branch))


def test_the_model_written_out_is_the_one_that_transformers_runs() -> None:
    ours = load_model(SHIPPED / "model.safetensors")
    as_trained = AutoConfig.from_pretrained(SHIPPED, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    theirs = AutoModelForCausalLM.from_pretrained(SHIPPED, config=as_trained, dtype=torch.float32)
    ids = torch.randint(0, 2304, (2, 60), generator=torch.Generator().manual_seed(1))
    position, nothing = torch.arange(60).expand(2, -1), torch.zeros_like(ids)
    with torch.inference_mode():
        torch.testing.assert_close(
            ours.logits(ours(ids, position, nothing, nothing)), theirs(ids).logits, atol=1e-3, rtol=0
        )


def test_pairs_that_turn_within_a_row_keep_their_speed_and_slower_ones_are_slowed() -> None:
    assert AutoConfig.from_pretrained(SHIPPED).rope_parameters == stretched(Shape(2304), ROW)
    rotary = AutoModelForCausalLM.from_pretrained(SHIPPED).model.rotary_emb
    size = 32
    trained = 10000.0 ** (-torch.arange(0, size, 2).float() / size)
    turns = trained * ROW / (2 * math.pi)  # within a row
    torch.testing.assert_close(rotary.inv_freq[turns >= 1], trained[turns >= 1])
    torch.testing.assert_close(rotary.inv_freq[turns < 0.5], trained[turns < 0.5] / FACTOR)
    assert 0 < int((turns < 0.5).sum()) < int((turns >= 1).sum())
    assert FACTOR * ROW >= CONTEXT


def test_new_layers_change_nothing_before_they_are_trained() -> None:
    model = Pocket(Shape(100, layers=3))
    ids = torch.arange(40)[None]
    nothing = torch.zeros_like(ids)
    with torch.inference_mode():
        before = model(ids, ids, nothing, nothing)
        model.grow(0)
        assert len(model.model.layers) == 3
        model.grow(2)
        assert len(model.model.layers) == 5
        torch.testing.assert_close(model(ids, ids, nothing, nothing), before)


def test_more_layers_than_there_are_gaps_are_refused() -> None:
    with pytest.raises(ValueError, match="3 layers more than 2"):
        Pocket(Shape(100, layers=2)).grow(3)


def test_going_on_begins_with_the_model_in_the_box_or_with_what_has_stopped(tmp_path: Path) -> None:
    checkpoint, shipped = tmp_path / "checkpoint.safetensors", load_model(SHIPPED / "model.safetensors")
    have = shipped.shape.layers

    def begun(**options: Any) -> Pocket:
        return begin(Namespace(**options), shipped.shape.vocabulary, checkpoint)

    assert begun(go_on=True, layers=have).shape == shipped.shape
    assert begun(go_on=True, layers=have + 1).shape.layers == have + 1
    assert begun(go_on=False, layers=3).shape.layers == 3
    for layers in (have - 1, 2 * have + 1):
        with pytest.raises(SystemExit, match=f"has {have}"):
            begun(go_on=True, layers=layers)
    stopped = Pocket(Shape(shipped.shape.vocabulary, layers=2), seed=3)
    average = {name: value.detach().clone() for name, value in stopped.named_parameters()}
    save_checkpoint(tmp_path, stopped, average, Muon(stopped), Progress())
    for name, value in begun(go_on=True, layers=have).named_parameters():
        assert torch.equal(value, dict(stopped.named_parameters())[name])


@pytest.mark.parametrize("seed", range(3))
def test_a_dialogue_in_a_packed_row_is_scored_as_if_it_stood_alone(
    tokenizer: PreTrainedTokenizerFast, seed: int
) -> None:
    model = Pocket(Shape(len(tokenizer), layers=2), seed=seed)
    rows = rows_of(tokenizer, seed, 4)
    ids, position, family, branch = tensors(rows)
    checked = 0
    with torch.inference_mode():
        packed = model(ids, position, family, branch)
        for row in range(len(rows)):
            for number in range(int(family[row].max()) + 1):
                for which in range(1, int(branch[row][family[row] == number].max()) + 1):
                    mine = (family[row] == number) & ((branch[row] == 0) | (branch[row] == which))
                    alone = ids[row][mine][None]
                    at = torch.arange(alone.shape[1])[None]
                    nothing = torch.zeros_like(alone)
                    torch.testing.assert_close(
                        packed[row][mine][None], model(alone, at, nothing, nothing), atol=1e-4, rtol=1e-4
                    )
                    checked += 1
    assert checked > 8


@given(seed=st.integers(0, 10**6))
@settings(max_examples=5)
def test_packing_loses_nothing_and_learns_what_the_assistant_says(
    tokenizer: PreTrainedTokenizerFast, seed: int
) -> None:
    family = next(training_families(seed))
    encoder = Encoder(tokenizer, 1024)
    rows = pack(encoder.pieces(family), 1024, PAD)
    texts: list[str] = []
    learnt: list[str] = []
    for row in range(len(rows)):
        for number in range(int(rows.family[row].max()) + 1):
            here = rows.family[row] == number
            for which in range(1, int(rows.branch[row][here].max()) + 1):
                mine = here & ((rows.branch[row] == 0) | (rows.branch[row] == which))
                order = np.argsort(rows.position[row][mine], kind="stable")
                texts.append(str(tokenizer.decode(rows.ids[row][mine][order].tolist())))
                learnt.append(str(tokenizer.decode(rows.ids[row][mine & rows.wanted[row]].tolist())))
    assert sorted(texts) == sorted(render(tokenizer, dialogue) for dialogue in family)
    for text, said in zip(texts, learnt, strict=True):
        turns = [part.partition("<|im_end|>")[0] for part in text.split("<|im_start|>assistant\n")[1:]]
        assert said == "".join(turn + "<|im_end|>" for turn in turns)


def test_the_split_is_real() -> None:
    """No word of one side is ever drawn on the other."""
    drawn: dict[bool, set[str]] = {}
    for held_out in (False, True):
        words = w.Words(random.Random(5), held_out)
        kinds = (
            words.made_up,
            words.spliced,
            words.unseen,
            lambda words=words: words.of(w.NOUNS),
            lambda words=words: words.of(w.VERBS),
        )
        drawn[held_out] = {kind() for kind in kinds for _ in range(400)}
        assert {w.is_held_out(word) for word in drawn[held_out]} == {held_out}
    assert not drawn[False] & drawn[True]


def test_what_a_call_says_stands_in_the_users_words() -> None:
    """Letter by letter, also where the request was made smaller, shorter or part of a longer sentence.

    The values of an enum may be said in other words; they are of the enum, letter by letter.
    """
    checked = 0
    for family in islice(training_families(7, ["own", "ction", "ence"]), 300):
        for dialogue in family:
            said = [message for message in dialogue["messages"] if message["role"] != "system"]
            if dialogue["skill"] not in ("call", "two calls", "two tools") or not said[1].get("tool_calls"):
                continue
            offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in dialogue["tools"]}
            for call in said[1]["tool_calls"]:
                for name, value in call["function"]["arguments"].items():
                    listed = offered[call["function"]["name"]]["properties"][name].get("enum")
                    if listed:
                        assert value in listed
                    elif isinstance(value, str):
                        assert value in said[0]["content"]
                        checked += 1
    assert checked > 1000


def test_every_piece_of_the_tokenizer_is_written_in_training(tokenizer: PreTrainedTokenizerFast) -> None:
    """A token that is never wanted can never be copied: the embedding is the output matrix."""
    letters = letter_pieces(tokenizer)
    assert {"own", "ction"} <= set(letters)
    words = w.Words(random.Random(4), pieces=letters)
    written = {token for _ in range(20_000) for token in tokenizer.tokenize(words.glued())}
    assert len(written & set(letters)) > 0.7 * len(letters)
    assert not any(w.is_held_out(words.unseen()) for _ in range(2000))


def test_tools_that_do_much_the_same_are_offered_together_only_where_the_words_tell_them_apart() -> None:
    table = {source.names[0]: source for source in skills.TRAIN + MORE + DAILY}
    assert rivals(table["add"], table["multiply"])
    assert not twins(table["add"], table["multiply"])
    assert twins(table["add"], table["calculate"])  # "What is 3 + 4?"
    together = 0
    words = w.Words(random.Random(8))
    for _ in range(300):
        offered = [tool.source for tool in offer(words, list(table.values()), 3, 0.0)]
        for one, other in combinations(offered, 2):
            assert not twins(one, other)
            together += rivals(one, other)
    assert together > 50
    for seed in range(50):  # in the evaluation they are kept apart
        held = [tool.source for tool in offer(w.Words(random.Random(seed), held_out=True), skills.TRAIN, 3, 0.0)]
        assert not any(rivals(one, other) for one, other in combinations(held, 2))


@pytest.mark.parametrize("shape", [(256, 256), (640, 256), (256, 640)])
def test_muon_makes_all_directions_equal(shape: tuple[int, int]) -> None:
    gradients = torch.randn(3, *shape, generator=torch.Generator().manual_seed(2))
    sizes = torch.linalg.svdvals(orthogonal(gradients))
    assert sizes.shape == (3, 256)
    assert float(sizes.quantile(0.05)) > 0.5
    assert float(sizes.max()) < 1.4


def test_a_run_that_stopped_goes_on_as_if_it_had_not(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """From one shard into the next, and in the averaged weights, which are what is used in the end."""
    recipe = Recipe(rate=8e-4, rows=2, save_seconds=1e9, decay_share=1e-9)
    shards = [rows_of(tokenizer, seed, 3) for seed in range(4)]
    asked: list[int] = []

    def shard(number: int) -> Rows:
        asked.append(number)
        return shards[number % 4]

    def run(folder: Path, *limits: int) -> dict[str, dict[str, torch.Tensor]]:
        for limit in limits:
            train(Pocket(Shape(len(tokenizer), layers=1)), shard, folder, recipe, limit, compiled=False)
        return {kind: weights_of(folder / "checkpoint.safetensors", kind) for kind in ("weights", "average")}

    torch.set_num_threads(1)
    once = run(tmp_path / "once", 4000)
    assert len(set(asked)) > 1
    twice = run(tmp_path / "twice", *range(1, 4000, 2 * LENGTH - 50), 4000)  # after each step, the last of a shard too
    assert len(asked) > 2 * len(set(asked))
    for kind, weights in once.items():
        for name, value in weights.items():
            assert torch.equal(twice[kind][name], value), (kind, name)
    start = dict(Pocket(Shape(len(tokenizer), layers=1)).named_parameters())
    assert not torch.equal(once["weights"]["model.embed_tokens.weight"], start["model.embed_tokens.weight"])
    lines = [json.loads(line) for line in (tmp_path / "once" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["tokens"] >= 4000  # the log tells the end of a run as well


@pytest.mark.parametrize(
    ("name", "value"), [("decay_share", 0.0), ("final_share", 2.0), ("rate", -1.0), ("minutes", float("nan"))]
)
def test_a_recipe_that_cannot_be_followed_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        replace(Recipe(rate=1e-3, decay_share=0.5), **{name: value})  # type: ignore[arg-type]  # a field by its name


def test_a_limit_that_is_no_number_of_tokens_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="limit is -5"):
        train(Pocket(Shape(300, layers=1)), lambda number: rows_of(tokenizer, 1, 1), tmp_path, Recipe(1e-3, 0.5), -5)


def test_a_folder_of_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    options, file = Namespace(**dict.fromkeys(KEPT, 1)), tmp_path / "run.json"
    check_run(options, file)
    assert not file.exists()  # nothing has begun
    file.write_text(json.dumps(run_of(options)), encoding="utf-8")
    check_run(options, file)
    options.rate, options.go_on = 2, 0
    with pytest.raises(SystemExit, match="--go-on was 1, is 0; --rate was 1, is 2"):
        check_run(options, file)


def test_options_that_no_training_could_follow_are_refused() -> None:
    assert (count("3"), whole_number("0"), positive("1e-3"), share("1")) == (3, 0, 1e-3, 1.0)
    for kind, texts in [
        (count, ("0", "-5", "1.5", "x", "")),
        (whole_number, ("-1",)),
        (positive, ("0", "-1", "nan", "inf")),
        (share, ("0", "1.1")),
    ]:
        for text in texts:
            with pytest.raises((ArgumentTypeError, ValueError)):
                kind(text)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_file({"transformer.wte.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds no Pocket"):
        load_model(tmp_path / "model.safetensors")


def test_curves_are_drawn_from_logs_and_from_nothing_else(tmp_path: Path) -> None:
    log, empty = tmp_path / "log.jsonl", tmp_path / "empty.jsonl"
    lines = [{"step": 20, "tokens": 1_000_000, "loss": 7.0}, {"step": 40, "tokens": 2_000_000, "loss": 1.0}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    empty.write_text("", encoding="utf-8")
    name, points = named_log(f"a=b={log}")
    assert (name, points) == ("a=b", [(1.0, 7.0), (2.0, 1.0)])
    assert "a=b</text>" in draw({name: points})
    for wrong, why in [("nolog", "not NAME=FILE"), (f"a={tmp_path}/none", "no log"), (f"a={empty}", "no losses")]:
        with pytest.raises(ArgumentTypeError, match=why):
            named_log(wrong)


def test_the_chat_template_is_the_one_in_the_box() -> None:
    assert TEMPLATE.read_text(encoding="utf-8") == (SHIPPED / "chat_template.jinja").read_text(encoding="utf-8")


def test_a_tokenizer_that_cannot_mark_the_assistants_turns_is_refused() -> None:
    with pytest.raises(ValueError, match="assistant"):
        Encoder(train_tokenizer([]), LENGTH)


def test_what_was_generated_for_the_weights_in_the_box_is_generated_still(tokenizer: PreTrainedTokenizerFast) -> None:
    """The card says that its command makes these weights again. Whoever changes the data trains them anew."""

    def digest(dialogues: Any) -> str:
        return hashlib.sha256(json.dumps(list(dialogues), ensure_ascii=False).encode()).hexdigest()[:16]

    assert digest(islice(training_families(1, letter_pieces(tokenizer)), 400)) == "8a017e830b3e86ce"
    assert digest(islice(training_families(3), 100)) == "f1005e0246227bff"
    assert digest(islice(training_dialogues(1), 400)) == "f883aa316f0e6e05"
    assert digest(evaluation_dialogues(20)) == "3c8fbebafe9b0a10"


TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}


def test_calls_are_right_only_if_everything_is() -> None:
    case = Case(
        "call",
        [{"role": "user", "content": "Oslo?"}],
        [TOOL],
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
    )
    for body, is_right, is_valid in [
        ('{"name": "weather", "arguments": {"city": "Oslo"}}', True, True),
        ('{"name": "weather", "arguments": {"city": "Rome"}}', False, True),
        ('{"name": "weather", "arguments": {"town": "Oslo"}}', False, False),
        ('{"name": "time", "arguments": {"city": "Oslo"}}', False, False),
        ('{"name": "weather", "arguments": {"city": 3}}', False, False),
        ('{"name": "weather", "argu', False, False),
    ]:
        text = f"<tool_call>\n{body}\n</tool_call>"
        reply = Reply(text, parse_calls(text), True)
        assert (right(case, reply), valid(reply, case.tools)) == (is_right, is_valid), body
    whole = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
    assert not right(case, Reply(whole, parse_calls(whole), False))  # it did not stop
    assert parse_calls(whole + "\n<tool_call>\n{") is None


def test_answers_have_to_mention_the_result() -> None:
    messages = [
        {"role": "user", "content": "Oslo?"},
        {"role": "tool", "name": "weather", "content": '{"sky": "snow", "degrees": -3}'},
    ]
    case = Case("call", messages, [TOOL], {"role": "assistant", "content": "The sky is snow and the degrees is -3."})
    assert right(case, Reply("Snow, and -3 degrees.", [], True))
    assert not right(case, Reply("Snow.", [], True))
    assert not right(case, Reply("The sky is snow and the degrees is -3.", [CALL], True))


def test_the_held_out_dialogues_are_the_same_every_time() -> None:
    once, again = list(cases(2)), list(cases(2))
    assert once == again
    assert len({case.skill for case in once}) == 11
    assert any(case.wanted for case in once)


def test_small_talk_before_a_dialogue_makes_its_prompt_longer_and_nothing_else() -> None:
    for plain, later in zip(cases(1), cases(1, talk_before=3), strict=True):
        system = [message for message in plain.messages if message["role"] == "system"]
        assert later.messages[: len(system)] == system
        assert later.messages[len(system) + 6 :] == plain.messages[len(system) :]
        assert (later.expected, later.tools) == (plain.expected, plain.tools)


@pytest.mark.nightly
def test_all_stages_run_and_the_base_model_goes_on_with_a_text(tmp_path: Path) -> None:
    """A tiny run from nothing: what it says is noise, but it is an ordinary model folder, and the same bits again."""
    sizes = [
        "--pretrain-tokens",
        "20000",
        "--tokens",
        "20000",
        "--tokenizer-dialogues",
        "1500",
        "--layers",
        "1",
    ]
    command = [sys.executable, "-m", "examples.pocket.make", "--eager", "--per-skill", "0", *sizes, "--out"]
    for run in ("first", "second"):
        done = subprocess.run([*command, str(tmp_path / run)], cwd=ROOT, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / run / "report.json").is_file()
    weights = [(tmp_path / run / "pocket" / "model.safetensors").read_bytes() for run in ("first", "second")]
    assert weights[0] == weights[1]
    base = subprocess.run(
        [sys.executable, "examples/base_model.py", str(tmp_path / "first" / "pretrained"), "What is the"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert base.returncode == 0, base.stderr
    assert base.stdout.startswith("What is the\n")
