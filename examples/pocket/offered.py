"""Tools as a dialogue offers them: a skill with drawn values, its schema, and what it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import words as w
from .skill import Skill

Message = dict[str, Any]
Dialogue = dict[str, Any]

SORRY = "Sorry, I have no tool for that."
NOTHING = "I found nothing."
OK_RESULTS = {"ok", "done", "sent", "saved", "added", "success", "true", "none", "null", "delivered", "booked", "calling",
              "started", "playing", "printed", "ordered", "finished", "yes"}  # fmt: skip
OPEN = {"text", "message", "headline", "task", "topic"}  # kinds of values that could go on and on


# ---------------------------------------------------------------------------------------------------- values


def choices(rest: str) -> list[tuple[str, list[str]]]:
    """The values of an enum, and how a user says each: ``Fri~Friday/Fridays`` is ``Fri``, said in two ways."""
    parts = [part.partition("~") for part in rest.split(",")]
    return [(value, said.split("/") if tilde else [value]) for value, tilde, said in parts]


def coded(words: w.Words, kind: str, slot: str) -> str:
    """The enum ``kind`` with values as programs spell them, said as before: ``enum:SLOW~slow,FAST~fast``, ``enum:S~slow,F~fast``."""
    values = kind.partition(":")[2].split(",")
    if not all(re.fullmatch(r"[^\W\d_]{2,}([ -][^\W\d_]+)*", value) for value in values):
        return kind
    styles: list[Callable[[str], str]] = [
        str.upper, str.upper, str.capitalize, lambda v: v[:3], lambda v: v[:3], lambda v: v[:3].upper(), lambda v: v[:3].capitalize(), lambda v: v[:4],
        lambda v: "".join(part[0] for part in v.split()).upper(), lambda v: "".join(part[0] for part in v.split()), lambda v: v[0].upper(),
        lambda v: f"{slot}_{v}", lambda v: f"{slot}_{v}".upper(), lambda v: f"{v}_{slot}",
    ]  # fmt: skip
    style = words.rng.choice(styles)
    codes = [style(value).strip().replace(" ", "_") for value in values]
    if len({code.lower() for code in codes}) < len(values):
        return kind
    return "enum:" + ",".join(f"{code}~{value}" for code, value in zip(codes, values, strict=True))


def sample(words: w.Words, kind: str) -> tuple[str, Any]:
    """Draw a value of ``kind``: how the user says it, and what belongs into the arguments."""
    rng = words.rng
    name, _, rest = kind.partition(":")
    if name == "int":
        low, high = (int(x) for x in rest.split(":"))
        number = rng.randint(low, high)
        if 2 <= number <= 12 and rng.random() < 0.2:
            return w.NUMBER_WORDS[number], number
        return str(number), number
    if name in ("N", "Nint"):
        number = rng.randint(0, rng.choice((12, 100, 1000, 10000))) * rng.choice((1,) * 24 + (-1,))
        if name == "N" and rng.random() < 0.3:
            decimal = rng.choice((number + rng.randint(1, 9) / 10, round(number + rng.randint(1, 99) / 100, 2)))
            return str(decimal), decimal
        if 2 <= number <= 12 and rng.random() < 0.1:
            return w.NUMBER_WORDS[number], number
        return str(number), number
    if name == "money":  # people write zeros that a number does not have
        cents = rng.randint(0, rng.choice((999, 9999, 99999)))
        text = f"{cents // 100}.{cents % 100:02d}" if rng.random() < 0.7 else f"{cents // 10}.{cents % 10}"
        if rng.random() < 0.3:
            return str(cents), cents
        return text, float(text)
    if name == "phone":
        parts = ["".join(rng.choice("0123456789") for _ in range(rng.randint(2, 4))) for _ in range(rng.randint(2, 4))]
        text = rng.choice(["+", "0", ""]) + rng.choice([" ", "-", "", " "]).join(parts)
        return text, text
    if name == "url":
        host = f"{rng.choice(['', 'www.', 'https://'])}{words.unseen()}.{rng.choice(('com', 'org', 'net', 'io', 'de'))}"
        text = host + rng.choice(["", "", f"/{words.unseen()}", f"/{words.noun()}/{rng.randint(1, 99)}"])
        return text, text
    if name == "mail":
        text = f"{words.unseen().lower()}{rng.choice(['', '.' + words.unseen().lower(), str(rng.randint(1, 99))])}@{words.unseen().lower()}.{rng.choice(('com', 'org', 'net', 'de'))}"
        return text, text
    if name in ("enum", "enumint", "free"):
        choice, ways = rng.choice(choices(rest))
        said = rng.choice(ways) if len(ways) > 1 else ways[0]
        if name == "free":  # nothing lists the values: what the user says is the value
            return said, said
        return said, int(choice) if name == "enumint" else choice
    if name == "bool":
        yes, no = rest.split(",")
        value = rng.random() < 0.5
        ways = (yes if value else no).split("/")
        return rng.choice(ways) if len(ways) > 1 else ways[0], value
    if name == "onoff":
        value = rng.random() < 0.5
        return ("on" if value else "off"), value
    if name == "list":
        items = list(
            dict.fromkeys(rng.choice([words.noun, words.noun, words.person])() for _ in range(rng.randint(2, 4)))
        )
        return ", ".join(items[:-1]) + (" and " if len(items) > 1 else "") + items[-1], items
    if name == "time":
        hour, minute = rng.randint(0, 23), rng.choice((0, 0, 15, 30, 45, rng.randint(0, 59)))
        text = rng.choice(
            [f"{hour}:{minute:02d}", f"{hour:02d}:{minute:02d}", f"{rng.randint(1, 12)} pm", f"{hour}:{minute:02d}"]
        )
        return text, text
    if name == "day":
        text = rng.choice([rng.choice(w.WEEKDAYS), f"{rng.randint(2024, 2031)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
                           f"{rng.choice(w.MONTHS)} {rng.randint(1, 28)}", f"{rng.randint(1, 28)} {rng.choice(w.MONTHS)}"])  # fmt: skip
        return text, text
    if name == "mailto":
        text = rng.choice(
            [
                words.person(),
                f"{words.person().split()[0].lower()}@{words.noun()}.{rng.choice(('com', 'org', 'net', 'de'))}",
            ]
        )
        return text, text
    if name == "expression":
        sign = rng.choice("+-*/")
        left, right = rng.randint(1, 999), rng.randint(1, 99)
        text = f"{left} {sign} {right}" if rng.random() < 0.8 else f"{left}{sign}{right}"
        if rng.random() < 0.2:
            text = f"({text}) {rng.choice('+-*/')} {rng.randint(1, 20)}"
        return text, text
    if name == "path":
        text = (
            rng.choice(["", "", f"{words.noun()}/"])
            + words.noun()
            + rng.choice([".txt", ".md", ".csv", ".json", ".log"])
        )
        return text, text
    if name == "photo":
        ending = rng.choice([".jpg", ".jpg", ".png", ".jpeg", ".gif"])
        text = (
            rng.choice([words.noun(), words.noun(), f"{words.noun()}/{words.noun()}", f"IMG_{rng.randint(1, 9999)}"])
            + ending
        )
        return text, text
    if name == "ticker":
        text = rng.choice(
            [
                "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(3, 4))),
                words.made_up().capitalize(),
            ]
        )
        return text, text
    if name == "topic":
        text = rng.choice([f"{words.of(w.ADJECTIVES)} {words.noun()}s", words.thing_name(), f"{words.noun()}s in {words.city()}",
                           f"the {words.attribute()} of {words.thing_name()}", words.noun()])  # fmt: skip
        return text, text
    if name == "event":
        text = rng.choice([f"{rng.choice(('lunch', 'dinner', 'a meeting', 'tea', 'a call'))} with {words.person()}", f"the {words.noun()} party",
                           f"{words.person()}'s birthday", words.of(w.ADJECTIVES) + " " + words.noun()])  # fmt: skip
        return text, text
    if name == "title":
        text = rng.choice(
            [
                f"{words.of(w.ADJECTIVES).capitalize()} {words.of(w.NOUNS).capitalize()}",
                words.made_up().capitalize(),
                words.thing_name(),
            ]
        )
        return text, text
    plain: dict[str, Callable[[], str]] = {
        "city": words.city, "person": words.person, "thing": words.thing_name, "text": words.text, "noun": words.noun,
        "code": words.code, "word": lambda: words.of(w.NOUNS), "room": lambda: words.of(w.ROOMS), "food": lambda: words.of(w.FOODS),
        "task": lambda: words.of(w.TASKS), "weekday": lambda: rng.choice(w.WEEKDAYS), "unit": lambda: rng.choice(w.UNIT_LIST[:-1]),
        "language": lambda: rng.choice(w.LANGUAGES), "color": lambda: rng.choice(w.COLORS),
        "currency": lambda: rng.choice(w.CURRENCIES + w.CURRENCY_CODES),
        "sky": lambda: rng.choice(w.SKIES), "sky_adjective": lambda: rng.choice(w.SKY_ADJECTIVES),
        "adjective": lambda: words.of(w.ADJECTIVES), "name": words.thing_name, "Name": words.thing_name,
        "Sky": lambda: rng.choice(w.SKY_ADJECTIVES).capitalize(), "The": lambda: rng.choice(["The", "A"]), "made_up": words.made_up,
        "object": words.object_name, "full": words.full_name, "plural": words.plural, "mass": words.mass, "label": words.label, "verb": words.verb,
        "message": words.message, "headline": words.headline,
        "spot": lambda: words.of(w.ROOMS) if rng.random() < 0.4 else words.object_name(),
        "foreign": lambda: " ".join(words.made_up(1, 2) for _ in range(rng.randint(1, 4))),
        "number": lambda: str(rng.randint(0, rng.choice((20, 100, 1000, 99999)))),
        "decimal": lambda: f"{rng.randint(0, 999)}.{rng.randint(0, 99):02d}",
    }  # fmt: skip
    text = plain[name]()
    if name in ("city", "person") and rng.random() < 0.05:
        text = text.lower()
    if name in ("thing", "city", "person", "code") and rng.random() < (0.03 if words.held_out else 0.06):
        return f'"{text}"', text
    return text, text


def fill(words: w.Words, text: str, spoken: dict[str, str]) -> str:
    """Replace ``{slot}`` by what the user said, and ``{kind}`` by a fresh value.

    Where nothing is said for a slot (the "no" of ``bool:every day,``), no gap is left.
    """
    silent = ["{" + slot + "}" for slot, said in spoken.items() if not said and "{" + slot + "}" in text]
    if silent:
        for slot in silent:
            text = text.replace(slot, "")
        text = re.sub(r"[ ,]+(?=[,.?!;:])", "", re.sub(r" {2,}", " ", text)).lstrip(" ,;:").rstrip(" ,")
        text = text[:1].upper() + text[1:]

    def value(match: re.Match[str]) -> str:
        key = match.group(1)
        return spoken[key] if key in spoken else str(sample(words, key)[1])

    return re.sub(r"\{([A-Za-z_]+(?::[^{}]*)?)\}", value, text)


# ---------------------------------------------------------------------------------------------------- tools


def schema_of(kind: str) -> dict[str, Any]:
    """The JSON schema of a parameter."""
    name, _, rest = kind.partition(":")
    if name in ("N", "money"):
        return {"type": "number"}
    if name in ("int", "Nint"):
        return {"type": "integer"}
    if name == "enumint":
        return {"type": "integer", "enum": [int(value) for value, _ in choices(rest)]}
    if name == "enum":
        return {"type": "string", "enum": [value for value, _ in choices(rest)]}
    if name in ("bool", "onoff"):
        return {"type": "boolean"}
    if name == "list":
        return {"type": "array", "items": {"type": "string"}}
    return {"type": "string"}


@dataclass
class Request:
    """One thing a user wants: the words, the call, the tool's result and the right answer."""

    text: str
    arguments: dict[str, Any]
    spoken: dict[str, str]
    result: str = ""
    answer: str = ""
    open_end: bool = False  # the words end with a text without quotes: what is put after it would belong to it
    value_first: bool = False  # the words begin with a value: the first letter has to stay as it is


class Tool:
    """A skill with its spelling fixed: one name, one description, one set of parameters."""

    def __init__(self, words: w.Words, source: Skill, name: str | None = None) -> None:
        rng = words.rng
        self.words, self.source = words, source
        self.name = name or rng.choice(source.names)
        if rng.random() < (0.04 if words.held_out else 0.12):
            self.name = (
                words.made_up() if words.held_out else "_".join(words.unseen() for _ in range(rng.choice((1, 1, 2))))
            )
        self.kinds: dict[str, str] = {}
        self.spelling: dict[str, str] = {}
        self.required: list[str] = []
        properties: dict[str, Any] = {}
        column, whole = rng.randrange(60), rng.random() < 0.5
        for slot, (spellings, kind, required) in source.params.items():
            if not required and rng.random() < 0.6:
                continue
            if kind.startswith("enum:") and "~" not in kind:
                if not required and rng.random() < 0.3:
                    kind = kind.replace("enum:", "free:")
                elif words.strange(0.35):
                    kind = coded(words, kind, slot)
            if kind == "N" and whole:
                kind = "Nint"
            # Parameters in parallel spellings (a/b, left/right, from/to) use the same column.
            spelling = spellings[column % len(spellings)]
            if required and _guessable(source, kind) and words.strange(0.2):
                spelling = "_".join(words.noun() for _ in range(rng.choice((1, 1, 2))))
            if spelling in properties:
                spelling = slot
            self.kinds[slot], self.spelling[slot] = kind, spelling
            properties[spelling] = schema_of(kind)
            if required:
                self.required.append(slot)
        about = rng.choice(source.about)
        if rng.random() < 0.1:
            about = about.rstrip(".")
        elif rng.random() < 0.08:
            about += rng.choice(
                [" Use it when the user asks for it.", " Returns a text.", " Give it the right values.", " It is fast."]
            )
        elif rng.random() < 0.02:
            about = ""
        self.function = {
            "name": self.name,
            "description": about,
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": [self.spelling[s] for s in self.required],
            },
        }

    def arguments(self, values: dict[str, Any]) -> dict[str, Any]:
        """Arguments in the order of the signature."""
        return {self.spelling[slot]: values[slot] for slot in self.kinds if slot in values}

    def request(self, joined: int = 1) -> list[Request]:
        """One request; with ``joined`` > 1 the same words ask for several calls ("in Oslo and Rome")."""
        words, rng = self.words, self.words.rng
        spoken: dict[str, str] = {}
        values: dict[str, Any] = {}
        for slot, kind in self.kinds.items():
            if slot in self.required or rng.random() < 0.6:
                spoken[slot], values[slot] = sample(words, kind)
                if not spoken[slot] and slot not in self.required:  # not said and not needed: not given
                    del spoken[slot], values[slot]
        ask = rng.choice(self.source.asks)
        begins = re.match(r"\{(\w+)\}", ask)
        first = spoken.get(begins.group(1), "") if begins else ""
        kind = self.kinds[begins.group(1)] if begins and first else ""
        if begins and (kind.startswith("bool:") or (kind.startswith("enum:") and words.strange(0.7))):
            ask = first[:1].upper() + first[1:] + ask[begins.end() :]
        for slot in spoken:
            if slot not in self.required:
                extra = rng.choice(self.source.extras.get(slot, ["{" + slot + "}"]))
                end = ask[-1] if ask[-1] in ".?!" else ""
                ask = (ask[: len(ask) - len(end)] + " " + extra + end).replace(" ,", ",")
        if joined == 1:
            request = Request(fill(words, ask, spoken), self.arguments(values), spoken)
            last = [spoken[slot] for slot in spoken if self.kinds[slot] in OPEN]
            request.open_end = any(request.text.rstrip(".?!").endswith(value.rstrip(".?!")) for value in last)
            request.value_first = request.text.startswith(tuple(filter(None, spoken.values())) or "\0")
            return [self.finish(request)]
        slot = self.joinable() or ""
        many = [sample(words, self.kinds[slot]) for _ in range(joined)]
        together = (
            ", ".join(s for s, _ in many[:-1])
            + rng.choice([" and ", " and ", " and in " if self.kinds[slot] == "city" and "in {" in ask else " and "])
            + many[-1][0]
        )
        text = fill(words, ask, {**spoken, slot: together})
        return [self.finish(Request(text, self.arguments({**values, slot: v}), {**spoken, slot: s})) for s, v in many]

    def joinable(self) -> str | None:
        """The slot that may take several values in one request, if there is exactly one required name-like slot."""
        slots = [s for s in self.required if self.kinds[s] in ("city", "person", "thing", "code", "ticker", "room")]
        return slots[0] if len(slots) == 1 else None

    def follow(self, before: Request) -> Request | None:
        """A follow-up that changes one value of an earlier request ("And in Oslo?")."""
        if not self.source.follow:
            return None
        text = self.words.rng.choice(self.source.follow)
        slots = [s for s in re.findall(r"\{(\w+)\}", text) if s in self.kinds]
        if not slots:
            return None
        spoken, arguments = dict(before.spoken), dict(before.arguments)
        for slot in slots:
            spoken[slot], value = sample(self.words, self.kinds[slot])
            arguments[self.spelling[slot]] = value
        return self.finish(Request(fill(self.words, text, spoken), arguments, spoken))

    def missing(self) -> tuple[str, str, Request] | None:
        """A request that lacks a required argument: the words, the missing slot, and the complete request."""
        options = [slot for slot in self.source.missing if slot in self.required]
        if not options:
            return None
        slot = self.words.rng.choice(options)
        spoken: dict[str, str] = {}
        values: dict[str, Any] = {}
        for s in self.required:
            spoken[s], values[s] = sample(self.words, self.kinds[s])
        text = fill(self.words, self.words.rng.choice(self.source.missing[slot]), spoken)
        return text, slot, self.finish(Request(text, self.arguments(values), spoken))

    def finish(self, request: Request) -> Request:
        """Add a result and the right answer to ``request``."""
        words, rng, source = self.words, self.words.rng, self.source
        result: Any = fill(words, rng.choice(source.results), request.spoken)
        action = source.answer.startswith("Done")
        draw = rng.random()
        if draw < 0.1:
            message = rng.choice(
                ["timeout", "permission denied", "server error", "network is down", "no connection", "not allowed", "out of service",
                 f"{rng.choice(list(filter(None, request.spoken.values())) or ['it'])} not found", f"no such {words.noun()}", f"unknown {words.noun()}",
                 f"the {words.noun()} is {words.of(w.ADJECTIVES)}", f"error {rng.randint(100, 599)}", "bad request", "try again later",
                 f"{words.noun()} {rng.choice(['is missing', 'failed', 'is broken', 'is closed', 'not available'])}"]
            )  # fmt: skip
            shape = rng.randrange(6)
            request.result = [f"Error: {message}", f"error: {message}", json.dumps({"error": message}, ensure_ascii=False),
                              f"{rng.choice(('ValueError', 'KeyError', 'RuntimeError', 'Exception', 'TimeoutError'))}: {message}",
                              f"Error: {message}", f"failed: {message}"][shape]  # fmt: skip
            request.answer = f"That did not work: {message}."
            return request
        if draw < 0.13:
            request.result = rng.choice(["None", "null", "[]", ""] if not action else ["None", "null"])
            request.answer = "Done." if action else NOTHING
            return request
        if draw < 0.23:
            pairs: dict[str, Any] = {}
            for _ in range(rng.choice((1, 2, 2, 2, 3))):
                key = rng.choice([words.of(w.ATTRIBUTES), words.noun(), words.attribute().replace(" ", "_")])
                pairs[key] = rng.choice([rng.randint(0, 999), rng.randint(-9, 40), sample(words, "decimal")[0], words.noun(),
                                         words.thing_name(), words.of(w.ADJECTIVES), sample(words, "sky")[0], rng.random() < 0.5])  # fmt: skip
            said = {k: {True: "true", False: "false"}.get(v, v) if isinstance(v, bool) else v for k, v in pairs.items()}
            parts = [f"the {k.replace('_', ' ')} is {v}" for k, v in said.items()]
            text = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
            request.result = json.dumps(pairs, ensure_ascii=False)
            request.answer = ("Done. " if action else "") + text[0].upper() + text[1:] + "."
            return request
        if draw < 0.31 and not action:
            request.result = json.dumps(
                {rng.choice(["result", "value", "answer", "output"]): _number(result)}, ensure_ascii=False
            )
        elif draw < 0.36 and action:
            request.result = rng.choice(['{"status": "ok"}', '{"ok": true}', '{"result": "ok"}', '{"success": true}'])
            request.answer = "Done."
            return request
        else:
            request.result = str(result)
        said_result = str(result)
        if said_result.startswith("["):
            items = json.loads(said_result)
            said_result = ", ".join(str(i) for i in items[:-1]) + " and " + str(items[-1])
        sentence = said_result.endswith(".") and said_result[0].isupper() and " " in said_result
        if action:
            if said_result.lower().rstrip(".") in OK_RESULTS:
                request.answer = "Done."
            else:
                request.answer = f"Done. {said_result}" if sentence else f"Done: {said_result}."
        elif "{YES}" in source.answer:
            yes = said_result.lower() in ("yes", "true")
            answer = source.answer.replace("{YES}", "Yes, " if yes else "No, ").replace("{NOT}", "" if yes else " not")
            request.answer = fill(words, answer, request.spoken)
            return request
        elif sentence:
            request.answer = said_result
        elif said_result[0].isupper() and "It is {R}" in source.answer and " " in said_result:
            request.answer = f"It is: {said_result}."
        else:
            answer = source.answer.replace("{R}", "\0")
            answer = fill(words, answer, request.spoken).replace("\0", said_result)
            request.answer = answer if source.answer.startswith("{") else answer[0].upper() + answer[1:]
            if said_result.endswith(".") and request.answer.endswith(".."):
                request.answer = request.answer[:-1]
        return request


def _guessable(source: Skill, kind: str) -> bool:
    """Whether a required parameter may be called anything, because it is the only one of its type."""
    others = [other.partition(":")[0] for _, other, required in source.params.values() if required]
    if len(others) == 1:
        return True
    typed = {"int", "N", "Nint", "money", "enum", "bool", "onoff", "list"}
    return len(others) == 2 and kind.partition(":")[0] not in typed and bool(typed & set(others))


def _number(text: str) -> Any:
    """``"18"`` as 18, everything else as it is."""
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) and str(int(text)) == text else text
