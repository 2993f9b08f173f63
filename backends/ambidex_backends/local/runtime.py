"""What a loaded model consists of: weights, tokenizer, chat template, tool-call format, and the engine over them."""

from __future__ import annotations

import logging
from functools import cached_property

from ambidex import formats
from ambidex.errors import ContextLengthExceeded, InvalidRequest, MissingChatTemplate, Unsupported
from ambidex.messages import may_go_on
from ambidex.request import Request
from ambidex.templates import ChatTemplate

from . import weights
from .answer_form import AnswerForm
from .context_length import context_length
from .draft_loading import load_draft
from .engine import Engine
from .engine_options import EngineOptions
from .grammars import Grammars
from .job import Job
from .model_defaults import model_defaults, token_ids
from .native import Quantize
from .outbox import Outbox
from .prompt import Prompt, Uncalling
from .strategies import Strategies
from .tokenizer import Tokenizer

DEFAULT_MAX_TOKENS = 1024
EXTRAS = {"attention", "lenient_schema"}
_log = logging.getLogger("ambidex")


class Runtime:
    """A model in memory. Made once for each `LocalBackend`."""

    def __init__(
        self,
        name: str,
        *,
        device: str,
        dtype: str,
        revision: str | None,
        local_files_only: bool | None,
        max_context: int | None,
        cache_bytes: int,
        engine: EngineOptions,
        quantize: Quantize | None = None,
        kernels: bool | None = None,
        cuda_graphs: bool = False,
        draft: str | None = None,
    ) -> None:
        loaded = weights.load(
            name,
            device=device,
            dtype=dtype,
            quantize=quantize,
            kernels=kernels,
            cuda_graphs=cuda_graphs,
            cache_bytes=cache_bytes,
            deterministic=engine.deterministic,
            revision=revision,
            local_files_only=local_files_only,
        )
        self.name = name
        self.device = loaded.device
        self.dtype = loaded.dtype
        self.tokenizer = Tokenizer(loaded.tokenizer)
        self._embeddings = loaded.embeddings
        self._generation = loaded.generation
        self.context_length = context_length(loaded.config, max_context)
        self.template = _chat_template(loaded, self.tokenizer)
        self._format = (self.template.format if self.template is not None else None) or formats.get("hermes")
        known = range(self._embeddings)
        self._ends = token_ids(self._generation.eos_token_id, known) or token_ids(loaded.config.eos_token_id, known)
        self._chat_ends = self._ends | self._template_ends(loaded.tokenizer.eos_token_id)
        grammars = Grammars(self.tokenizer, self._chat_ends, self._embeddings)
        self._answer_form = AnswerForm(grammars, self._format, self._chat_ends)
        self._draft = None if draft is None else load_draft(draft, loaded, engine, cache_bytes, local_files_only)
        self._strategies = Strategies(
            self.tokenizer,
            model_defaults(loaded),
            self._answer_form,
            loaded.model,
            looks_up=draft is not None and self._draft is None,
            draft_model=self._draft,
        )
        beside = [] if self._draft is None else [self._draft.model]
        self.engine = Engine(loaded.model, engine, beside)
        self.engine_options = engine

    @property
    def answer_form(self) -> AnswerForm:
        """What its answers can be held to."""
        return self._answer_form

    @property
    def can_contrast(self) -> bool:
        """Whether there is a draft model, and its scores are as equal each time as was asked for."""
        return self._draft is not None and self._draft.repeats_itself

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    def submit(self, request: Request, prompt: Prompt, emit: Outbox) -> Job:
        """Hands a request to the engine, whose thread puts into `emit` what comes."""
        job = self._strategies.job(request, prompt, self._max_tokens(request, len(prompt.ids)), emit)
        self.engine.submit(job)
        return job

    def score(self, request: Request, given: Request | None, emit: Outbox) -> Job:
        """Hands the engine a request's raw prompt to be scored, after what is `given`."""
        ids = self._raw_prompt(request).ids
        before = self.tokenizer.beginning
        first = len(before) if tuple(ids[: len(before)]) == before else 0
        if given is not None:
            context = self._raw_prompt(given).ids
            ids, first = context + ids[first:], len(context)
        limit = self.context_length
        if limit is not None and len(ids) > limit:
            raise ContextLengthExceeded(
                f"The text has {len(ids)} tokens, and the model's context holds {limit}: shorten it.",
                asked=len(ids),
                limit=limit,
            )
        job = self._strategies.scoring(request, ids, max(1, first), emit)
        self.engine.submit(job)
        return job

    def prompt(self, request: Request) -> Prompt:
        """Checks the request and makes its prompt.

        Raises `Unsupported`, `MissingChatTemplate`, `ContextLengthExceeded`, `InvalidRequest`, `TemplateError`.
        """
        _refuse_unsupported(request)
        prompt = self._raw_prompt(request) if request.raw_prompt is not None else self._chat_prompt(request)
        asked, limit = len(prompt.ids), self._limit(request)
        if not asked:
            raise InvalidRequest("The prompt has no tokens: give at least one.")
        if limit is not None and asked >= limit:
            whose = "model" if limit == self.context_length else "draft model"
            raise ContextLengthExceeded(
                f"The prompt has {asked} tokens, and the {whose}'s context of {limit} must hold prompt and answer: "
                f"shorten it to at most {limit - 1}.",
                asked=asked,
                limit=limit,
            )
        return prompt

    def close(self) -> None:
        self.engine.close()

    def _raw_prompt(self, request: Request) -> Prompt:
        assert request.raw_prompt is not None
        if request.tools:
            raise InvalidRequest("tools need messages: a raw prompt has no chat template that could offer them.")
        ids = self.tokenizer.raw_prompt(request.raw_prompt)
        if ids and max(ids) >= self._embeddings:
            raise InvalidRequest(
                f"prompt has id {max(ids)}, but the model's ids end at {self._embeddings - 1}.", param="prompt"
            )
        return Prompt(ids, self._ends, self.tokenizer.special_ids, None)

    def _chat_prompt(self, request: Request) -> Prompt:
        if self.template is None:
            raise MissingChatTemplate(
                f"{self.name!r} has no chat template, so it takes no messages: it may be a base model. "
                "Use Request(prompt=...), or a model that was trained for chat."
            )
        tools = () if request.tool_choice == "none" else request.tool_list
        must_call = bool(tools) and request.tool_choice != "auto"
        rendered = self.template.render(
            request.messages,
            tools,
            continue_final=may_go_on(request.messages[-1]),
            reasoning=request.reasoning,
            variables={"tool_choice": "required"} if must_call and "tool_choice" in self.template.variables else None,
        )
        shown = {id for spelling, id in self.tokenizer.special.items() if spelling in self._format.MARKERS}
        starts = rendered.starts_in_reasoning

        def parser() -> formats.Parser:
            made = formats.Unquoting(self._format.parser(tools or None, starts_in_reasoning=starts))
            return Uncalling(made) if request.tool_choice == "none" else made

        hidden = self.tokenizer.special_ids - shown
        return Prompt(rendered.ids, self._chat_ends, hidden, parser, tools, starts, self._tags)

    @cached_property
    def _tags(self) -> dict[int, str]:
        """The control tokens that the format's tags are made of, by id."""
        written = "\n".join((*self._format.MARKERS, *self._format.REASONING, *self._format.STOP_TOKENS))
        return {
            id: spelling for spelling, id in self.tokenizer.plain.control.items() if spelling and spelling in written
        }

    def _limit(self, request: Request) -> int | None:
        """Tokens of prompt and answer together; no more than a draft model takes that is asked about each."""
        limits = [self.context_length]
        if self._draft is not None and request.decoding is not None and request.decoding.contrast:
            limits.append(self._draft.context_length)
        return min((limit for limit in limits if limit is not None), default=None)

    def _max_tokens(self, request: Request, prompt_length: int) -> int:
        limit = self._limit(request)
        left = None if limit is None else limit - prompt_length
        asked = request.max_tokens or self._generation.max_new_tokens
        if asked is None and (whole := self._generation.max_length):
            asked = max(1, whole - prompt_length)
        asked = asked or DEFAULT_MAX_TOKENS
        return asked if left is None else min(asked, left)

    def _template_ends(self, eos: object) -> frozenset[int]:
        """A chat's turn also ends with the tokenizer's own end, and with what its format ends turns with."""
        control = self.tokenizer.special
        return token_ids(eos, range(self._embeddings)) | {
            control[spelling] for spelling in self._format.STOP_TOKENS if spelling in control
        }


def _refuse_unsupported(request: Request) -> None:
    """What the engine cannot do yet, in a plain sentence each."""
    refusals = {
        "extra": bool(set(request.extra or ()) - EXTRAS)
        and f"a model in this process takes these extra options only: {', '.join(sorted(EXTRAS))}",
    }
    for option, sentence in refusals.items():
        if sentence:
            raise Unsupported(f"{option}: {sentence}.", param=option)


def _chat_template(loaded: weights.LoadedModel, tokenizer: Tokenizer) -> ChatTemplate | None:
    """The model's, with what it cannot write found out now."""
    named = {name: str(token) for name, token in loaded.tokenizer.special_tokens_map.items() if isinstance(token, str)}
    try:
        template = ChatTemplate.from_pretrained(loaded.folder, tokenizer=tokenizer.plain, special_tokens=named)
        _log.debug("The chat template of %s: %s", loaded.folder, template.support)
        return template
    except MissingChatTemplate:
        return None
