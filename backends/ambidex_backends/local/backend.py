"""`LocalBackend`: requests in, events out, through a model in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ambidex.backend import Capabilities, Observer, last_release, notify
from ambidex.decoding import check_integer
from ambidex.errors import AmbidexError, ConfigError, InvalidRequest, MissingExtra
from ambidex.option_names import refuses_unknown_options
from ambidex.reply import Reply, TokenLogprob
from ambidex.request import Request, Special
from ambidex.stream import AsyncEventStream, EventStream

if TYPE_CHECKING:
    from .tokenizer import Tokenizer

DEFAULT_CACHE_BYTES = 2 * 1024**3


@refuses_unknown_options(ConfigError)
class LocalBackend:
    """A causal language model in this process.

    model             "pocket" (the model in the box), a folder (a Path, or a str with ./, ../, / or ~ first), or a
                      Hub id with an optional "@revision"
    device            "auto" (CUDA, else MPS, else CPU) or a torch device such as "cuda:1"
    dtype             "auto" (the checkpoint's), "float32", "bfloat16" or "float16"
    quantize          "int8" or "int4": weights in 8 or 4 bits with a scale for each group; on CPUs, Llama-shaped models
    kernels           our own kernels on CPUs: None where possible, True always (else `Unsupported`), False never; nor
                      our own forward pass on GPUs then, but transformers'
    cuda_graphs       True: on a GPU steps are recorded and replayed; not tried on one yet (docs/engine.md)
    draft             tokens are guessed ahead where that is faster, and never change an answer: "prompt" copies what
                      followed the same words before; another model's name asks it, which must have the same tokenizer
                      (and is what `contrast` keeps away from)
    revision          a Hub model's branch, tag or commit
    local_files_only  True: never ask the Hub
    max_context       tokens of prompt and answer together, if less than the model's own limit
    cache_bytes       memory for keys and values: what running requests leave of it keeps those of earlier requests,
                      for later ones with the same beginning; 0 keeps none
    max_batch         requests that are answered at the same time; others wait for their turn
    max_queue         requests that may wait; more are refused with `Overloaded`
    prefill_tokens    tokens of prompts computed in one step, shared by the requests whose prompts are not done
    reader_timeout    seconds after which an answer whose reader is behind and takes nothing more is given up
    deterministic     the same tokens for a request whatever runs beside it and whatever is cached, in every dtype;
                      float32 gives them without it. Costs speed (docs/engine.md)
    observe           called with every request, event and error

    The weights are loaded here, with progress on a terminal. Raises `MissingExtra` without PyTorch or transformers,
    `ModelNotFound`, `CorruptWeights`, `UntrustedArtifact`, `ModelLoadError` for a folder that is not a whole model.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        device: str = "auto",
        dtype: str = "auto",
        quantize: Literal["int8", "int4"] | None = None,
        kernels: bool | None = None,
        cuda_graphs: bool = False,
        draft: str | os.PathLike[str] | None = None,
        revision: str | None = None,
        local_files_only: bool | None = None,
        max_context: int | None = None,
        cache_bytes: int | None = None,
        max_batch: int = 16,
        max_queue: int = 256,
        prefill_tokens: int = 512,
        reader_timeout: float = 60.0,
        deterministic: bool = False,
        observe: Observer | None = None,
    ) -> None:
        if quantize not in (None, "int8", "int4"):
            raise ConfigError(f"quantize takes None, 'int8' or 'int4', got {quantize!r}.")
        if kernels not in (None, True, False):
            raise ConfigError(f"kernels takes None, True or False, got {kernels!r}.")
        if cuda_graphs not in (True, False):
            raise ConfigError(f"cuda_graphs takes True or False, got {cuda_graphs!r}.")
        model = _name(model, "model")
        draft = None if draft is None else _name(draft, "draft")
        if not (revision is None or isinstance(revision, str)):
            raise ConfigError(f"revision takes a branch, tag or commit, got {revision!r}.")
        check_integer(max_context, "max_context", at_least=2)
        check_integer(cache_bytes, "cache_bytes", at_least=0)
        try:
            from .engine_options import EngineOptions
            from .runtime import Runtime
        except ImportError as error:
            missing = (error.name or "one of them").partition(".")[0]
            raise MissingExtra(
                f"A model in this process needs PyTorch and transformers, and {missing} is not installed: "
                "pip install 'ambidex[local]'"
            ) from None
        self.model = model
        self._observe = observe
        self._runtime = Runtime(
            model,
            device=device,
            dtype=dtype,
            revision=revision,
            local_files_only=local_files_only,
            max_context=max_context,
            cache_bytes=DEFAULT_CACHE_BYTES if cache_bytes is None else cache_bytes,
            engine=EngineOptions(
                max_batch=max_batch,
                max_queue=max_queue,
                prefill_tokens=prefill_tokens,
                reader_timeout=reader_timeout,
                deterministic=deterministic,
            ),
            quantize=quantize,
            kernels=kernels,
            cuda_graphs=cuda_graphs,
            draft=draft,
        )

    @staticmethod
    def environment() -> dict[str, str]:
        """What this machine has to run models on; `ambidex env` shows it. Loads PyTorch."""
        from .environment import facts

        return facts()

    @property
    def tokenizer(self) -> Tokenizer:
        """Pieces, ids and control tokens of this model."""
        return self._runtime.tokenizer

    @property
    def capabilities(self) -> Capabilities:
        from .grammars import is_installed

        template = self._runtime.template
        holds_calls = template is not None and self._runtime.answer_form.holds_calls
        return Capabilities(
            chat=template is not None,
            prompt=True,
            tools=template is not None and template.support.calls != "refused",
            tools_in_template=template is not None and template.support.tools == template.support.calls == "template",
            parallel_tool_calls=holds_calls,
            tool_choice=holds_calls,
            output=True if is_installed() else None,  # without llguidance: choices only
            reasoning=(template is not None and template.knows_reasoning) or None,
            logprobs=True,
            seed=True,
            n=True,
            beams=True,
            processors=True,
            contrast=self._runtime.can_contrast,
            images=False,
            audio=False,
            trace=True,
            context_length=self._runtime.context_length,
        )

    def refresh(self) -> Capabilities:
        """The same as `capabilities`: a model in this process is known without asking."""
        return self.capabilities

    async def arefresh(self) -> Capabilities:
        """The async twin of `refresh`."""
        return self.capabilities

    def stream(self, request: Request, /) -> EventStream:
        """The answer as it comes.

        Raises what is wrong with the request before anything is computed: `Unsupported`, `InvalidRequest`,
        `ContextLengthExceeded`, `MissingChatTemplate`, `TemplateError`, `Overloaded`, `BackendClosed`.
        """
        return self._stream(request)

    def astream(self, request: Request, /) -> AsyncEventStream:
        """The async twin of `stream`; to be called in a running event loop."""
        return self._astream(request)

    def count(self, request: Request, /) -> int:
        """Tokens of the request's prompt, chat template and tools included. Raises as `stream` does."""
        return len(self._runtime.prompt(_request(request)).ids)

    def batch(self, requests: Sequence[Request], /) -> list[Reply[Any] | AmbidexError]:
        """Replies in the order of the requests; one that fails gives its error, and the others go on.

        Takes any number: they are submitted as room comes, and each one's time limit begins when it is submitted.
        """
        from .batch import AHEAD, Batch

        self._runtime.engine.check_caller()  # before threads of its own ask
        requests = [_request(request) for request in requests]
        at_once = AHEAD * self._runtime.engine_options.max_batch
        return Batch(lambda request: self._stream(request, in_bulk=True), at_once).run(requests)

    async def abatch(self, requests: Sequence[Request], /) -> list[Reply[Any] | AmbidexError]:
        """The async twin of `batch`; cancelling it ends the answers that run."""
        from .batch import AHEAD, abatch

        at_once = AHEAD * self._runtime.engine_options.max_batch
        checked = [_request(request) for request in requests]
        return await abatch(lambda request: self._astream(request, in_bulk=True), checked, at_once)

    def score(
        self,
        text: str | Sequence[int | str | Special],
        *,
        given: str | Sequence[int | str | Special] | None = None,
        top: int = 0,
        timeout: float | None = None,
    ) -> tuple[TokenLogprob, ...]:
        """Log probabilities of the tokens of a text, each with `top` alternatives; nothing is generated.

        What is `given` stands before it and is not scored. Without it the first token has nothing before it and is
        left out, unless the tokenizer puts something before every text. `text` and `given` are as `Request.prompt`.
        Raises `InvalidRequest`, `ContextLengthExceeded`, `DeadlineExceeded`, `Overloaded`, `BackendClosed`,
        `EngineError`.
        """
        from .scoring import Scores

        request = Request(prompt=text, logprobs=top, timeout=timeout)
        scores = Scores()
        self._runtime.score(request, None if given is None else Request(prompt=given), scores.outbox)
        return scores.read()

    async def ascore(
        self,
        text: str | Sequence[int | str | Special],
        *,
        given: str | Sequence[int | str | Special] | None = None,
        top: int = 0,
        timeout: float | None = None,
    ) -> tuple[TokenLogprob, ...]:
        """The async twin of `score`."""
        return await asyncio.to_thread(self.score, text, given=given, top=top, timeout=timeout)

    def close(self) -> None:
        """Ends running requests with `BackendClosed` and frees the model, unless others share it from `connect`."""
        if last_release(self):
            self._runtime.close()

    async def aclose(self) -> None:
        """The async twin of `close`."""
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        return f"LocalBackend({self.model!r}, device={str(self._runtime.device)!r}, dtype={self._runtime.dtype_name!r})"

    def _stream(self, request: Request, *, in_bulk: bool = False) -> EventStream:
        from .answer import AnswerSource

        with self._observed(_request(request)):
            source = AnswerSource(self._runtime, request, self._observe, in_bulk=in_bulk)
        return EventStream(source, on_cancel=source.cancel, output=request.output)

    def _astream(self, request: Request, *, in_bulk: bool = False) -> AsyncEventStream:
        from .answer import AsyncAnswerSource

        with self._observed(_request(request)):
            source = AsyncAnswerSource(self._runtime, request, self._observe, in_bulk=in_bulk)
        return AsyncEventStream(source, on_cancel=source.cancel, output=request.output)

    @contextmanager
    def _observed(self, request: Request) -> Generator[None]:
        notify(self._observe, request)
        try:
            yield
        except AmbidexError as error:
            notify(self._observe, error)
            raise


def _name(given: object, option: str) -> str:
    """A model's name; a path is a folder's, however it begins."""
    if isinstance(given, os.PathLike):
        return str(Path(given).absolute())
    if isinstance(given, str):
        return given
    raise ConfigError(f"{option} takes a model's name or a folder, got {given!r}.")


def _request(given: object) -> Request:
    if isinstance(given, Request):
        return given
    raise InvalidRequest(f"A backend takes a Request, such as Request([User('...')]), got {type(given).__name__}.")
