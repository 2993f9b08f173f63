"""Every error Ambidex raises, drawn as a tree. No other library's exception escapes.

AmbidexError
├── ConfigError                 the program is set up wrongly (also a ValueError)
│   └── MissingExtra            an optional dependency is not installed (also an ImportError)
├── APIError                    the answering side refused or failed
│   ├── InvalidRequest          what was asked is wrong (also a ValueError); status is None when refused before sending
│   │   ├── Unsupported         right in itself, but this backend cannot honour it
│   │   ├── ContextLengthExceeded
│   │   ├── RequestTooLarge
│   │   ├── PendingToolCalls    text was sent while tool calls wait for their results
│   │   └── ConcurrentUse       a second request on one Chat before the first has ended
│   ├── AuthenticationError · PermissionDenied · QuotaExceeded · NotFound · Conflict
│   ├── RateLimited · ModelLoading · Overloaded · ServerError
│   └── ContentFiltered
├── TransportError              the connection failed (`phase`, and whether the request may have been `sent`)
│   ├── ConnectError · TLSError · ProxyError
│   └── StreamInterrupted       broken in the middle; what came is in `partial`
├── DeadlineExceeded            a time limit passed (also a TimeoutError); `kind` says which
├── ProtocolError               the peer does not speak the protocol
│   └── UnexpectedContentType · MalformedResponse · LimitExceeded · RedirectBlocked
├── IncompleteResponse          the stream ended without saying that it was complete; what came is in `partial`
├── OutputInvalid               a structured answer does not fit its type
├── LimitReached                an agent's limit; the `result` so far is kept
├── JournalError                the journal of an agent's runs cannot be read or written
│   ├── CallsInDoubt            calls were started, and nobody knows whether they happened; `calls` to settle
│   └── RunNotFound · RunBusy · RunMismatch
├── ToolError
│   └── UnknownTool · ToolArgumentsInvalid · ToolArgumentsTruncated · ToolFailed
├── TemplateError               a chat template failed
│   └── MissingChatTemplate · TemplateLimitExceeded
└── EngineError                 the local engine
    ├── ModelLoadError
    │   └── ModelNotFound · CorruptWeights · UntrustedArtifact · VocabMismatch
    └── OutOfMemory · NonFiniteLogits · BackendClosed · ReaderStalled

All are picklable, carry machine-readable fields, and hold neither headers nor secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from .agent_events import AgentResult
    from .journal import CallInDoubt
    from .reply import Reply

Phase = Literal["dns", "connect", "tls", "proxy", "write", "read"]
DeadlineKind = Literal["connect", "first_byte", "idle", "total", "pool", "server"]


class AmbidexError(Exception):
    """Root of all errors. Fields that do not apply are None.

    message      what was wrong, what was expected and what to do, in a sentence or two
    partial      the reply as far as it came, when a stream had begun
    status       HTTP status of the answer
    code         the server's machine-readable code, or ours
    request_id   the server's id of the request, to quote to its support
    provider     who answered, where a router passed the request on
    retry_after  seconds after which the server says to try again
    param        the option or field at fault
    attempts     how many times it was tried
    errors       what other backends said, where several were asked
    """

    errors: tuple[AmbidexError, ...] = ()

    def __init__(
        self,
        message: str,
        *,
        partial: Reply[Any] | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        provider: str | None = None,
        retry_after: float | None = None,
        param: str | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.partial = partial
        self.status = status
        self.code = code
        self.request_id = request_id
        self.provider = provider
        self.retry_after = retry_after
        self.param = param
        self.attempts = attempts

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Callable[..., AmbidexError], tuple[type[AmbidexError], dict[str, Any]]]:
        return _rebuild, (type(self), self.__dict__.copy())


def _rebuild(cls: type[AmbidexError], state: dict[str, Any]) -> AmbidexError:
    # Not cls.__new__: that finds MemoryError's, which Python refuses for a class that derives from more than it.
    new = OSError.__new__ if issubclass(cls, OSError) else Exception.__new__
    error = new(cls, state["message"])
    error.__dict__.update(state)
    error.args = (state["message"],)
    return error


class ConfigError(AmbidexError, ValueError):
    """The program is set up wrongly: a model string, an option's name, a key's form."""


class MissingExtra(ConfigError, ImportError):
    """A backend's or command's optional dependency is not installed; the message has the line that installs it."""


class APIError(AmbidexError):
    """The answering side refused or failed. `in_stream` when it said so after a stream had begun with status 200."""

    in_stream: bool = False


class InvalidRequest(APIError, ValueError):
    """What was asked is wrong. `status` is None when it was refused before anything was sent."""


class Unsupported(InvalidRequest):
    """The request is well-formed, but this backend, model or server cannot honour it. Never dropped silently."""


class ContextLengthExceeded(InvalidRequest):
    """The prompt does not fit: `asked` tokens, where the context holds `limit` (None when the server did not say)."""

    def __init__(self, message: str, *, asked: int | None = None, limit: int | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.asked = asked
        self.limit = limit


class RequestTooLarge(InvalidRequest):
    """The body is larger than the server takes (413)."""


class PendingToolCalls(InvalidRequest):
    """Ordinary text was sent while tool calls wait: answer each with a ToolResult first."""


class ConcurrentUse(InvalidRequest):
    """A second request was started on one Chat before the first had ended; use `chat.fork()`."""


class AuthenticationError(APIError):
    """The key is missing or refused (401)."""


class PermissionDenied(APIError):
    """The key is known but may not do this (403), for instance a gated model."""


class QuotaExceeded(APIError):
    """Credits or quota are used up (402, or 429 with a quota code). Waiting does not help."""


class NotFound(APIError):
    """No such model or route (404)."""


class Conflict(APIError):
    """The server is in a state that does not allow it (409)."""


class RateLimited(APIError):
    """Too many requests (429); `retry_after` in seconds where the server says."""


class ModelLoading(APIError):
    """The model is being loaded (503 with an estimate in `retry_after`)."""


class Overloaded(APIError):
    """The server has no room now (503, 529, or a full queue)."""


class ServerError(APIError):
    """The server failed (500, 502, 504, ...)."""


class ContentFiltered(APIError):
    """The provider refused the content."""


class TransportError(AmbidexError):
    """The connection failed in `phase`; `sent` says whether the server can have seen the request (None: unknown)."""

    def __init__(self, message: str, *, phase: Phase = "read", sent: bool | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.phase: Phase = phase
        self.sent = sent


class ConnectError(TransportError):
    """The server could not be reached."""


class TLSError(TransportError):
    """The TLS handshake or certificate check failed."""


class ProxyError(TransportError):
    """The proxy refused or failed."""


class StreamInterrupted(TransportError):
    """The connection broke inside a stream; what came before is in `partial`."""


class DeadlineExceeded(AmbidexError, TimeoutError):
    """A time limit of `limit` seconds passed; `kind` says which one."""

    def __init__(
        self, message: str, *, kind: DeadlineKind = "total", limit: float | None = None, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.kind: DeadlineKind = kind
        self.limit = limit


class ProtocolError(AmbidexError):
    """The peer does not speak the protocol that was agreed."""


class UnexpectedContentType(ProtocolError):
    """The answer is of another media type, for instance a login page where JSON was expected."""


class MalformedResponse(ProtocolError):
    """The answer cannot be read: broken JSON, or fields missing."""


class LimitExceeded(ProtocolError):
    """Something is larger than the limit `name` allows (`limit`, in that limit's unit)."""

    def __init__(self, message: str, *, name: str, limit: float, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.name = name
        self.limit = limit


class RedirectBlocked(ProtocolError):
    """The server redirects elsewhere; requests that carry credentials do not follow."""


class IncompleteResponse(AmbidexError):
    """The stream ended cleanly without a finish reason: it was cut off. What came is in `partial`."""


class OutputInvalid(AmbidexError):
    """A structured answer does not fit its type; `problems` lists what is wrong, for people and models."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.problems = problems


class LimitReached(AmbidexError):
    """An agent's limit was reached; `result` holds the run so far."""

    def __init__(self, message: str, *, result: AgentResult[Any], **fields: Any) -> None:
        super().__init__(message, **fields)
        self.result = result


class JournalError(AmbidexError):
    """The journal of an agent's runs cannot be read or written; `run_id` where it is about one run."""

    def __init__(self, message: str, *, run_id: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.run_id = run_id


class CallsInDoubt(JournalError):
    """`calls` were started before the program stopped, and nothing is known of their end: settle each, then resume."""

    def __init__(self, message: str, *, calls: tuple[CallInDoubt, ...], **fields: Any) -> None:
        super().__init__(message, **fields)
        self.calls = calls


class RunNotFound(JournalError, LookupError):
    """The journal has no run of this id."""


class RunBusy(JournalError):
    """The run goes on elsewhere: in another thread or process, or a tool of it still runs."""


class RunMismatch(JournalError):
    """What the journal has of the run does not fit what is asked now: another task, other calls, another agent."""


class ToolError(AmbidexError):
    """Something about a tool; raise it (or a subclass) inside a tool to tell the model what went wrong."""


class UnknownTool(ToolError):
    """The model called a tool that was not offered."""


class ToolArgumentsInvalid(ToolError):
    """The arguments do not fit the tool's schema; the message tells the model what was expected."""


class ToolArgumentsTruncated(ToolArgumentsInvalid):
    """The arguments were cut off before they were complete."""


class ToolFailed(ToolError):
    """The tool itself raised."""


class TemplateError(AmbidexError):
    """A chat template failed; the message has the template's own words."""


class MissingChatTemplate(TemplateError):
    """The model has no chat template: use `Request(prompt=...)`, or give a template."""


class TemplateLimitExceeded(TemplateError):
    """A chat template used more time or output than it may."""


class EngineError(AmbidexError):
    """The local engine failed."""


class ModelLoadError(EngineError):
    """A model folder cannot be loaded."""


class ModelNotFound(ModelLoadError, FileNotFoundError):
    """No such folder or Hub model, or a file that it needs is missing."""


class CorruptWeights(ModelLoadError):
    """A weights file is truncated or inconsistent; nothing was loaded."""


class UntrustedArtifact(ModelLoadError):
    """The model asks for pickled weights or code of its own; both are refused."""


class VocabMismatch(ModelLoadError):
    """The tokenizer can produce ids that the model has no embedding for."""


class OutOfMemory(EngineError, MemoryError):
    """The device has no memory left for this request; smaller ones still work."""


class NonFiniteLogits(EngineError):
    """The model produced NaN or infinite logits at decoding step `step`."""

    def __init__(self, message: str, *, step: int = 0, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.step = step


class BackendClosed(EngineError):
    """The backend was closed before or during the request."""


class ReaderStalled(EngineError):
    """Nobody read a stream for `limit` seconds while its answer waited to go on; what was read is in `partial`."""

    def __init__(self, message: str, *, limit: float = 0.0, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.limit = limit
