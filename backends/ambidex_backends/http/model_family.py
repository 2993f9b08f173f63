"""What a model's name tells about its wire: how it wants the ids of calls, whether it wants its reasoning back.

A router passes requests on to servers that it does not name, so that the model's name is all there is. It is read as
its makers write it: "mistralai/Mistral-Small-3.2-24B-Instruct-2506", "moonshotai/Kimi-K2-Thinking:groq".
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from .call_ids import IdForm


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose names, in lower case, hold one of `marks` and none of `but_not`.

    call_ids           the form of ids that they insist on; None: any that the server takes
    wants_reasoning    between tool calls they go on from their own reasoning, so it is sent back to them
    """

    marks: tuple[str, ...]
    but_not: tuple[str, ...] = ()
    call_ids: IdForm | None = None
    wants_reasoning: bool = False

    def holds(self, model: str) -> bool:
        name = model.lower()
        return any(mark in name for mark in self.marks) and not any(mark in name for mark in self.but_not)


FAMILIES = (
    # Mistral's templates and tokenizers refuse every id that is not exactly nine letters and digits.
    Family(
        ("mistral", "mixtral", "ministral", "codestral", "magistral", "devstral", "pixtral", "voxtral"),
        call_ids="nine",
    ),
    # Kimi K2 was trained on ids that it writes itself: functions.<name>:<number of the call in the conversation>.
    Family(("kimi-k",), call_ids="kimi", wants_reasoning=True),
    # DeepSeek's R1 refuses reasoning in its input; the later ones refuse a tool loop without it.
    Family(("deepseek",), but_not=("deepseek-r1", "distill"), wants_reasoning=True),
    Family(("minimax-m", "glm-4.5", "glm-4.6", "glm-4.7", "glm-5"), wants_reasoning=True),
)
OTHERS = Family(())


@functools.lru_cache(256)
def family_of(model: str) -> Family:
    """The family that a model's name tells, `OTHERS` for all other names."""
    return next((family for family in FAMILIES if family.holds(model)), OTHERS)
