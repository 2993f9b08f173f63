"""A skill: one kind of tool in many spellings, with the ways to ask for it and what it answers.

``{city}``-like slots in requests are filled with values that also become the arguments; ``{int:0:35}``-like slots in results
are drawn afresh; ``{R}`` in an answer is the tool's result. Most are written as the compact text that :func:`skill` reads::

    a|b|c                   alternatives; one is drawn (names of tools are parted by spaces)
    city|place = city       a parameter in several spellings, of the kind "city"; several parameters are parted by ";"
    unit? = ...             an optional one
    int:LOW:HIGH            a whole number between these
    N, Nint, money          a number, a whole number, a price
    enum:a,b  enumint:1,2   one of these; the schema lists them
    enum:Fri~Friday/Fridays the value Fri, which the user calls Friday or Fridays
    free:a,b                one of these, but the schema is that of any string
    bool:YES,NO  onoff      true or false, said in these words (an empty one: where nothing is said, it is false)
    list                    two to four names

All other kinds are strings, drawn as ``offered.sample`` tells by their names. In results, ``{kind}`` draws a fresh value.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Skill:
    """One kind of tool. ``params`` maps a slot to ``(parameter names, kind, required)``."""

    names: list[str]
    about: list[str]
    params: dict[str, tuple[list[str], str, bool]]
    asks: list[str]
    results: list[str]
    answer: str
    missing: dict[str, list[str]] = field(default_factory=dict)
    follow: list[str] = field(default_factory=list)
    extras: dict[str, list[str]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()  # ("lookup", attribute, thing) or ("action", verb, thing)
    kind: str = ""  # two tools of one kind could serve the same requests
    rivals: tuple[str, ...] = ()  # first names of other tools that could


def skill(
    names: str,
    about: str,
    params: str,
    asks: str,
    results: str,
    answer: str,
    missing: dict[str, str] | None = None,
    follow: str = "",
    extras: dict[str, str] | None = None,
) -> Skill:
    """Build a ``Skill`` from compact text, as the head of this file describes it."""
    table: dict[str, tuple[list[str], str, bool]] = {}
    for part in filter(None, (p.strip() for p in params.split(";"))):
        left, kind = part.split("=", 1)
        spellings = left.strip().split("|")
        required = not spellings[0].endswith("?")
        spellings = [s.rstrip("?") for s in spellings]
        table[spellings[0]] = (spellings, kind.strip(), required)
    return Skill(
        names.split(),
        about.split("|"),
        table,
        asks.split("|"),
        results.split("|"),
        answer,
        {k: v.split("|") for k, v in (missing or {}).items()},
        follow.split("|") if follow else [],
        {k: v.split("|") for k, v in (extras or {}).items()},
    )
