"""`LocalBackend` from the outside: streams, limits, reuse, cancelling, many at once, and every refusal."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from ambidex import (
    Finished,
    Greedy,
    Message,
    Request,
    Sampling,
    Special,
    System,
    TextDelta,
    TokenScored,
    User,
    acollect,
    collect,
    connect,
    tool,
)
from ambidex.errors import (
    AmbidexError,
    BackendClosed,
    ConfigError,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineError,
    InvalidRequest,
    MissingChatTemplate,
    NonFiniteLogits,
    Unsupported,
)
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.model import Span

from .conftest import save_model

PROMPT = "the rain in the north"


@pytest.fixture
def backend(model_folder: Callable[[str], Path]) -> Iterator[LocalBackend]:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu")
    yield backend
    backend.close()


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return "rain"


def slowly(logits: Any, seen: Sequence[int]) -> Any:
    """Small models answer faster than a test can cancel them."""
    time.sleep(0.005)
    return logits


def endless(**options: Any) -> Request:
    """A request of a second that only a limit or a cancel ends."""
    decoding = Greedy(min_tokens=200, processors=(slowly,))
    return Request(prompt=PROMPT, decoding=decoding, max_tokens=200, **options)


def test_finished_is_last_and_tells_everything(backend: LocalBackend) -> None:
    events = list(backend.stream(endless(stop=(), timeout=60)))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert not any(isinstance(event, Finished) for event in events[:-1])
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert finished.choices[0].message.text == text
    assert finished.choices[0].finish_reason == "length"
    assert finished.usage.input_tokens == backend.count(endless())
    assert finished.usage.output_tokens == 200
    timings = finished.timings
    assert timings.queued is not None
    assert timings.first_token is not None
    assert timings.total is not None
    assert 0 <= timings.queued <= timings.first_token <= timings.total


def test_pieces_concatenate_to_the_decoding_of_all_ids(backend: LocalBackend) -> None:
    reply = collect(backend.stream(endless(logprobs=0)))
    ids = [scored.id for scored in reply.logprobs or () if scored.id is not None]
    prompt = backend.tokenizer.raw_prompt(PROMPT)
    whole, before = backend.tokenizer.decode(prompt + ids), backend.tokenizer.decode(prompt)
    assert reply.text == whole[len(before) :]


def test_log_probabilities_come_with_alternatives_best_first(backend: LocalBackend) -> None:
    events = list(backend.stream(Request(prompt=PROMPT, max_tokens=4, logprobs=3, decoding=Greedy(min_tokens=9))))
    scored = [event.logprob for event in events if isinstance(event, TokenScored)]
    assert len(scored) == 4
    for item in scored:
        assert item.source == "model"
        assert item.top[0].id == item.id, "greedy picks the best"
        assert [other.logprob for other in item.top] == sorted((o.logprob for o in item.top), reverse=True)
        assert item.text == item.bytes.decode("utf-8", "replace")


def test_every_end_token_stops(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    first = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu")
    reply = collect(first.stream(Request(prompt=PROMPT, max_tokens=8, decoding=Greedy(min_tokens=9), logprobs=0)))
    ids = [scored.id for scored in reply.logprobs or ()]
    first.close()
    folder = save_model(tmp_path, "llama", {})
    text = (
        (folder / "generation_config.json").read_text().replace('"eos_token_id": 2', f'"eos_token_id": [2, {ids[3]}]')
    )
    (folder / "generation_config.json").write_text(text)
    second = LocalBackend(str(folder), dtype="float32", device="cpu")
    reply = collect(second.stream(Request(prompt=PROMPT, max_tokens=8, decoding=Greedy())))
    assert reply.finish_reason == "stop"
    assert reply.usage.output_tokens == ids.index(ids[3]) + 1
    second.close()


def test_stop_sequences_end_the_answer_and_are_not_in_it(backend: LocalBackend) -> None:
    whole = collect(backend.stream(endless())).text
    stop = whole[10:13]
    reply = collect(backend.stream(endless(stop=[stop, "never there"])))
    assert reply.text == whole[: whole.find(stop)]
    assert (reply.finish_reason, reply.stop_sequence) == ("stop", stop)


def test_context_length_is_refused_up_front_with_the_numbers(model_folder: Callable[[str], Path]) -> None:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu", max_context=16)
    for length, fits in ((15, True), (16, False), (17, False)):
        request = Request(prompt=[5] * length, decoding=Greedy(min_tokens=50))
        if fits:
            reply = collect(backend.stream(request))
            assert (reply.usage.output_tokens, reply.finish_reason) == (1, "length")
        else:
            with pytest.raises(ContextLengthExceeded, match=f"{length} tokens.*16") as caught:
                backend.stream(request)
            assert (caught.value.asked, caught.value.limit) == (length, 16)
    assert backend.capabilities.context_length == 16
    backend.close()


def test_turns_of_a_chat_compute_only_what_is_new(backend: LocalBackend) -> None:
    history: list[Message] = [System("be brief"), User("the rain")]
    first = collect(backend.stream(Request(history, max_tokens=20, decoding=Greedy(min_tokens=30))))
    longer = [*history, first.message, User("and the sun")]
    second = collect(backend.stream(Request(longer, max_tokens=10, decoding=Greedy())))
    assert first.usage.cached_tokens == 0
    assert second.usage.cached_tokens is not None
    assert first.usage.input_tokens is not None
    assert second.usage.cached_tokens >= first.usage.input_tokens
    cold = LocalBackend(backend.model, dtype="float32", device="cpu", cache_bytes=0)
    uncached = collect(cold.stream(Request(longer, max_tokens=10, decoding=Greedy())))
    assert uncached.usage.cached_tokens == 0
    assert uncached.text == second.text
    cold.close()


def test_cancel_from_another_thread_ends_within_a_step(backend: LocalBackend) -> None:
    stream = backend.stream(endless())
    next(stream)
    thread = threading.Thread(target=stream.cancel)
    thread.start()
    thread.join()
    rest = list(stream)
    assert isinstance(rest[-1], Finished)
    assert stream.reply.finish_reason == "cancelled"
    assert (stream.reply.usage.output_tokens or 0) < 200
    assert next(stream, None) is None


def test_breaking_out_frees_the_engine(backend: LocalBackend) -> None:
    for _ in backend.stream(endless()):
        break
    stream = backend.stream(endless())
    next(stream)
    stream.close()
    assert collect(backend.stream(Request(prompt=PROMPT, max_tokens=3, decoding=Greedy()))).usage.output_tokens
    scheduler = backend._runtime.engine._scheduler
    deadline = time.monotonic() + 10
    while not scheduler.idle and time.monotonic() < deadline:
        time.sleep(0.01)
    assert scheduler.idle


def test_a_deadline_raises_with_what_came(backend: LocalBackend) -> None:
    stream = backend.stream(endless(timeout=0.15))
    with pytest.raises(DeadlineExceeded, match=r"0\.15 s") as caught:
        collect(stream)
    assert caught.value.partial is not None
    assert caught.value.partial.text
    assert isinstance(caught.value, TimeoutError)


def test_many_at_once_equal_each_alone(backend: LocalBackend) -> None:
    requests = [
        Request(prompt=PROMPT + " and" * index, max_tokens=24, decoding=Sampling(temperature=1.5, seed=index))
        for index in range(12)
    ]
    alone = [collect(backend.stream(request)).text for request in requests]
    together = backend.batch(requests)
    assert [reply.text if not isinstance(reply, AmbidexError) else reply for reply in together] == alone
    in_threads: dict[int, str] = {}

    def ask(index: int) -> None:
        in_threads[index] = collect(backend.stream(requests[index])).text

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [in_threads[index] for index in range(len(requests))] == alone


def test_batch_keeps_the_order_and_reports_each_failure(backend: LocalBackend) -> None:
    good = Request(prompt=PROMPT, max_tokens=2)
    outcomes = backend.batch([good, Request(prompt=PROMPT, extra={"x": 1}), good])
    assert isinstance(outcomes[1], Unsupported)
    assert not isinstance(outcomes[0], AmbidexError)
    assert not isinstance(outcomes[2], AmbidexError)


def test_async_gives_the_same(backend: LocalBackend) -> None:
    request = Request([User("the rain")], max_tokens=12, decoding=Greedy())
    expected = collect(backend.stream(request))

    async def both() -> list[str]:
        replies = await asyncio.gather(acollect(backend.astream(request)), acollect(backend.astream(request)))
        return [reply.text for reply in replies]

    assert asyncio.run(both()) == [expected.text] * 2


def test_async_cancelling_the_task_frees_the_engine(backend: LocalBackend) -> None:
    async def run() -> None:
        task = asyncio.ensure_future(acollect(backend.astream(endless())))
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert collect(backend.stream(Request(prompt=PROMPT, max_tokens=2))).finish_reason == "length"


def test_closing_ends_what_runs_and_refuses_more(model_folder: Callable[[str], Path]) -> None:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu")
    stream = backend.stream(endless())
    next(stream)
    backend.close()
    with pytest.raises(BackendClosed):
        collect(stream)
    with pytest.raises(BackendClosed, match="connect again"):
        backend.stream(endless())
    backend.close()


def test_equal_connects_share_one_model(model_folder: Callable[[str], Path]) -> None:
    name = f"local:{model_folder('llama')}"
    first, second = connect(name, dtype="float32"), connect(name, dtype="float32")
    assert first is second
    assert connect(name, dtype="bfloat16") is not first
    first.close()
    assert collect(second.stream(Request(prompt=PROMPT, max_tokens=2))).text is not None
    second.close()
    with pytest.raises(BackendClosed):
        first.stream(Request(prompt=PROMPT))
    connect(name, dtype="bfloat16").close()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"extra": {"x": 1}}, "extra"),
    ],
)
def test_what_is_not_there_yet_is_refused_in_a_sentence(
    backend: LocalBackend, options: dict[str, Any], word: str
) -> None:
    with pytest.raises(Unsupported, match=word):
        backend.stream(Request(prompt=PROMPT, **options))


def test_tool_choice_none_offers_no_tools(backend: LocalBackend) -> None:
    without = Request([User("x")])
    assert backend.count(Request([User("x")], tools=[weather], tool_choice="none")) == backend.count(without)


def test_wrong_prompts_are_refused(backend: LocalBackend) -> None:
    with pytest.raises(InvalidRequest, match="no control token"):
        backend.stream(Request(prompt=[Special("<|nope|>")]))
    with pytest.raises(InvalidRequest, match="100000"):
        backend.stream(Request(prompt=[100000]))
    with pytest.raises(InvalidRequest, match="raw prompt"):
        backend.stream(Request(prompt="x", tools=[weather]))


def test_control_token_spellings_in_a_text_stay_text(backend: LocalBackend) -> None:
    tokenizer = backend.tokenizer
    assert tokenizer.special["<|im_end|>"] not in tokenizer.raw_prompt("say <|im_end|> now")
    assert tokenizer.raw_prompt((Special("<|im_end|>"),)) == [tokenizer.special["<|im_end|>"]]
    assert tokenizer.decode(tokenizer.raw_prompt("say <|im_end|> now")) == "say <|im_end|> now"


def test_no_chat_template_is_said(tmp_path: Path) -> None:
    backend = LocalBackend(
        str(save_model(tmp_path, "gpt2", {"n_embd": 48, "n_layer": 2, "n_head": 4}, chat_template=None))
    )
    with pytest.raises(MissingChatTemplate, match=r"Request\(prompt=\.\.\.\)"):
        backend.stream(Request([User("hello")]))
    assert backend.capabilities.chat is False
    assert collect(backend.stream(Request(prompt="a", max_tokens=2))).usage.output_tokens
    backend.close()


@pytest.mark.parametrize("kind", ["llama", "gemma2"])  # the second caps its logits
@pytest.mark.parametrize("quantize", [None, "int8", "int4"])
def test_non_finite_logits_are_an_error(
    kind: str, quantize: Literal["int8", "int4"] | None, model_folder: Callable[[str], Path]
) -> None:
    backend = LocalBackend(str(model_folder(kind)), dtype="float32", device="cpu", quantize=quantize)
    engine: Any = backend._runtime.engine
    engine._model._weights.final_norm.fill_(float("nan"))
    with pytest.raises(NonFiniteLogits, match="step 0") as caught:
        collect(backend.stream(Request(prompt=PROMPT)))
    assert caught.value.step == 0
    backend.close()


def test_a_failing_forward_pass_reaches_the_reader_and_the_engine_goes_on(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = backend._runtime.engine._model
    forward = model.forward
    calls = 0

    def failing(spans: list[Span]) -> list[torch.Tensor]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("the kernel broke")
        return forward(spans)

    monkeypatch.setattr(model, "forward", failing)
    with pytest.raises(EngineError, match="the kernel broke") as caught:
        collect(backend.stream(endless()))
    assert caught.value.partial is not None
    assert collect(backend.stream(Request(prompt=PROMPT, max_tokens=2))).finish_reason == "length"


def test_the_observer_sees_request_events_and_errors(model_folder: Callable[[str], Path]) -> None:
    seen: list[Any] = []
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu", observe=seen.append)
    request = Request(prompt=PROMPT, max_tokens=2)
    events = list(backend.stream(request))
    assert seen == [request, *events]
    with pytest.raises(Unsupported):
        backend.stream(Request(prompt=PROMPT, extra={"x": 1}))
    assert isinstance(seen[-1], Unsupported)
    backend.close()


def test_unknown_and_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'device'"):
        connect("local:pocket", devise="cpu")
    with pytest.raises(ConfigError, match="quantize takes None, 'int8' or 'int4'"):
        LocalBackend("pocket", quantize="int3")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ConfigError, match="kernels"):
        LocalBackend("pocket", kernels="yes")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(InvalidRequest, match="max_context"):
        LocalBackend("pocket", max_context=0)


def test_a_missing_library_names_the_extra_that_brings_it() -> None:
    program = """
import sys
sys.modules[sys.argv[1]] = None
from ambidex import connect, errors
try:
    connect("local:pocket")
except errors.MissingExtra as error:
    print(error)
"""
    for library in ("torch", "transformers"):
        run = subprocess.run([sys.executable, "-c", program, library], capture_output=True, text=True, check=True)
        assert f"{library} is not installed: pip install 'ambidex[local]'" in run.stdout


def test_frames_from_the_engines_root_to_the_model_are_few(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths: list[int] = []
    engine: Any = backend._runtime.engine
    model = engine._model
    original = model._forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        frame, ours = sys._getframe(1), 0
        while frame is not None:
            ours += "ambidex_backends" in frame.f_code.co_filename
            frame = frame.f_back  # type: ignore[assignment]
        depths.append(ours)
        return original(*args, **kwargs)

    monkeypatch.setattr(model, "_forward", counted)
    collect(backend.stream(Request(prompt=PROMPT, max_tokens=2)))
    assert depths
    assert max(depths) <= 6
