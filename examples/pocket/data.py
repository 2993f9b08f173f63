"""The data: seeded synthetic dialogues with and without tools, split into a training and a held-out side.

Everything is generated; no third-party text is used. A dialogue is a plain dictionary
``{"messages": [...], "tools": [...], "skill": "..."}`` in the usual chat format, so that the chat template decides
how it is written down. Two kinds of tools occur: the hand-written everyday ones of ``skills.py`` and procedural ones
made from drawn words ("Get the wingspan of a zorple."), which are different in every dialogue.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import skills
from . import words as w
from .skills import Skill, skill

Message = dict[str, Any]
Dialogue = dict[str, Any]

SORRY = "Sorry, I have no tool for that."
NOTHING = "I found nothing."
OK_RESULTS = {"ok", "done", "sent", "saved", "added", "success", "true", "none", "null", "delivered", "booked", "calling",
              "started", "playing", "printed", "ordered", "finished", "yes"}  # fmt: skip
# Tools that could answer each other's requests are never offered together.
RIVALS = [
    {"add", "multiply", "subtract", "calculate", "convert_currency", "convert_unit", "power"},
    {"send_email", "send_message", "find_contact", "call_person"},
    {"add_todo", "save_note", "set_alarm", "set_timer", "add_event", "shopping_list"},
    {"search", "define", "news", "get_recipe", "order_food"},
    {"set_light", "dim_light", "set_heating", "set_volume"},
    {"translate", "spell", "count_words"},
    {"find_restaurants", "book_table", "order_food"},
    {"roll_dice", "random_number"},
    {"distance", "find_flight"},
]


def rivals(a: Skill, b: Skill) -> bool:
    """Whether a request for ``a`` could reasonably be sent to ``b``."""
    if a.names[0] == b.names[0] or a.about[0] == b.about[0]:
        return True
    return any(a.names[0] in group and b.names[0] in group for group in RIVALS)


# ---------------------------------------------------------------------------------------------------- values


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
    if name in ("enum", "enumint", "free"):
        choice = rng.choice(rest.split(","))
        return choice, int(choice) if name == "enumint" else choice
    if name == "bool":
        yes, no = rest.split(",")
        value = rng.random() < 0.5
        return (yes if value else no), value
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
        "foreign": lambda: " ".join(words.made_up(1, 2) for _ in range(rng.randint(1, 4))),
        "number": lambda: str(rng.randint(0, rng.choice((20, 100, 1000, 99999)))),
        "decimal": lambda: f"{rng.randint(0, 999)}.{rng.randint(0, 99):02d}",
    }  # fmt: skip
    text = plain[name]()
    if name in ("city", "person") and rng.random() < 0.05:
        text = text.lower()
    if name in ("thing", "city", "person", "code") and rng.random() < 0.03:
        return f'"{text}"', text
    return text, text


def fill(words: w.Words, text: str, spoken: dict[str, str]) -> str:
    """Replace ``{slot}`` by what the user said, and ``{kind}`` by a fresh value."""

    def value(match: re.Match[str]) -> str:
        key = match.group(1)
        return spoken[key] if key in spoken else str(sample(words, key)[1])

    return re.sub(r"\{([A-Za-z_]+(?::[^{}]*)?)\}", value, text)


# ---------------------------------------------------------------------------------------------------- tools


def schema_of(rng: random.Random, kind: str) -> dict[str, Any]:
    """The JSON schema of a parameter."""
    name, _, rest = kind.partition(":")
    if name == "N":
        return {"type": "number"}
    if name in ("int", "Nint"):
        return {"type": "integer"}
    if name == "enumint":
        return {"type": "integer", "enum": [int(x) for x in rest.split(",")]}
    if name == "enum":
        return {"type": "string", "enum": rest.split(",")}
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
    values: tuple[str, ...] = ()


class Tool:
    """A skill with its spelling fixed: one name, one description, one set of parameters."""

    def __init__(self, words: w.Words, source: Skill, name: str | None = None) -> None:
        rng = words.rng
        self.words, self.source = words, source
        self.name = name or rng.choice(source.names)
        if rng.random() < 0.04:
            self.name = words.made_up()
        self.kinds: dict[str, str] = {}
        self.spelling: dict[str, str] = {}
        self.required: list[str] = []
        properties: dict[str, Any] = {}
        column, whole = rng.randrange(60), rng.random() < 0.5
        for slot, (spellings, kind, required) in source.params.items():
            if not required and rng.random() < 0.6:
                continue
            if kind.startswith("enum:") and not required and rng.random() < 0.3:
                kind = kind.replace("enum:", "free:")
            if kind == "N" and whole:
                kind = "Nint"
            # Parameters in parallel spellings (a/b, left/right, from/to) use the same column.
            spelling = spellings[column % len(spellings)]
            if spelling in properties:
                spelling = slot
            self.kinds[slot], self.spelling[slot] = kind, spelling
            properties[spelling] = schema_of(rng, kind)
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
        ask = rng.choice(self.source.asks)
        for slot in spoken:
            if slot not in self.required:
                extra = rng.choice(self.source.extras.get(slot, ["{" + slot + "}"]))
                end = ask[-1] if ask[-1] in ".?!" else ""
                ask = (ask[: len(ask) - len(end)] + " " + extra + end).replace(" ,", ",")
        if joined == 1:
            return [self.finish(Request(fill(words, ask, spoken), self.arguments(values), spoken))]
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
                 f"{rng.choice(list(request.spoken.values()) or ['it'])} not found", f"no such {words.noun()}", f"unknown {words.noun()}",
                 f"the {words.noun()} is {words.of(w.ADJECTIVES)}", f"error {rng.randint(100, 599)}", "bad request", "try again later",
                 f"{words.noun()} {rng.choice(['is missing', 'failed', 'is broken', 'is closed', 'not available'])}"]
            )  # fmt: skip
            shape = rng.randrange(6)
            request.result = [f"Error: {message}", f"error: {message}", json.dumps({"error": message}, ensure_ascii=False),
                              f"{rng.choice(('ValueError', 'KeyError', 'RuntimeError', 'Exception', 'TimeoutError'))}: {message}",
                              f"Error: {message}", f"failed: {message}"][shape]  # fmt: skip
            request.answer, request.values = f"That did not work: {message}.", ("did not work",)
            return request
        if draw < 0.13:
            request.result = rng.choice(["None", "null", "[]", ""] if not action else ["None", "null"])
            request.answer = "Done." if action else NOTHING
            request.values = (request.answer.rstrip("."),)
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
            request.values = tuple(str(v) for v in said.values())
            return request
        if draw < 0.31 and not action:
            request.result = json.dumps(
                {rng.choice(["result", "value", "answer", "output"]): _number(result)}, ensure_ascii=False
            )
        elif draw < 0.36 and action:
            request.result = rng.choice(['{"status": "ok"}', '{"ok": true}', '{"result": "ok"}', '{"success": true}'])
            request.answer, request.values = "Done.", ("Done",)
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
            request.values = (request.answer[:3],)
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
        request.values = ("Done",) if request.answer == "Done." else (said_result.rstrip("."),)
        return request


def _number(text: str) -> Any:
    """``"18"`` as 18, everything else as it is."""
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) and str(int(text)) == text else text


# ---------------------------------------------------------------------------------------------------- procedural skills


def names_of(words: w.Words, *parts: str) -> str:
    """Function names made of words, in different styles."""
    rng = words.rng
    clean = [p.replace(" ", "_").lower() for p in parts]
    snake = "_".join(clean)
    camel = clean[0] + "".join(x.capitalize() for p in clean[1:] for x in p.split("_"))
    return rng.choice([snake, snake, snake, camel, clean[-1] if rng.random() < 0.4 else snake])


# Everyday questions for some properties.
NATURAL = {
    "height": "How tall is X?", "weight": "How heavy is X?", "age": "How old is X?", "price": "How much is X?", "size": "How big is X?",
    "cost": "What does X cost?", "speed": "How fast is X?", "length": "How long is X?", "width": "How wide is X?", "depth": "How deep is X?",
    "temperature": "How warm is X?", "color": "What color is X?", "owner": "Who owns X?", "location": "Where is X?",
    "name": "What is X called?", "distance": "How far is X?", "author": "Who wrote X?", "winner": "Who won X?", "leader": "Who leads X?",
    "value": "How much is X worth?", "population": "How many people live in X?", "address": "Where does X live?", "birthday": "When was X born?",
    "founder": "Who founded X?", "maker": "Who made X?", "captain": "Who is the captain of X?", "brightness": "How bright is X?",
    "taste": "How does X taste?", "smell": "How does X smell?", "salary": "How much does X earn?", "area": "How large is X?",
    "material": "What is X made of?", "job": "What does X do for a living?", "status": "How is X doing?", "origin": "Where does X come from?",
}  # fmt: skip


def lookup_skill(words: w.Words, attribute: str | None = None, thing: str | None = None, named: bool = False) -> Skill:
    """A tool that returns one property of a thing: "Get the wingspan of a bird.".

    With ``named`` every request says which kind of thing it is about.
    """
    rng = words.rng
    a, e = attribute or words.attribute(), thing or words.noun()
    prefix = rng.choice(["get", "find", "lookup", "fetch", "show", "read", "query", "tell"])
    names = " ".join(
        [
            names_of(words, prefix, a),
            names_of(words, e, a),
            names_of(words, prefix, e, a),
            names_of(words, a, "of", e),
            names_of(words, a),
        ]
    )
    an = "an" if e[0] in "aeiou" else "a"
    about = rng.choice(
        [f"Get the {a} of {an} {e}.", f"The {a} of {an} {e}.", f"Returns the {a} of one {e}.", f"Look up the {a} of {an} {e} by name.",
         f"Find out the {a} of {an} {e}.", f"Tells the {a} of the {e}.", f"Fetch the {a} for {an} {e}.", f"Shows the {a} of {an} {e}.",
         f"Gives you the {a} of {an} {e}.", f"{e.capitalize()} {a}.", f"Read the {a} of {an} {e} from the database."]
    )  # fmt: skip
    kind = rng.choice(["thing", "thing", "thing", "person", "city", "code"])
    key = e.replace(" ", "_") + "|name|" + e + "_name|" + e + "_id|query|id|title"
    asks = (
        f"What is the {a} of {{x}}?|What's the {a} of {{x}}?|Tell me the {a} of {{x}}.|I want to know the {a} of {{x}}.|"
        f"Give me the {a} of {{x}}.|What is the {a} of the {e} {{x}}?|Do you know the {a} of {{x}}?|{a} of {{x}}?|"
        f"Can you find the {a} of the {e} {{x}}?|What {a} does {{x}} have?|I need the {a} of {{x}}.|"
        f"Look up the {a} of the {e} {{x}}, please.|Which {a} does the {e} {{x}} have?|Show the {a} for {{x}}.|get me the {a} of {{x}}|"
        f"Find out the {a} of {{x}}.|Tell me about the {a} of the {e} {{x}}.|Check the {a} of {{x}}.|Please tell me the {e} {{x}}'s {a}."
    )
    if a in NATURAL and not named:
        asks += "".join(f"|{NATURAL[a]}|{NATURAL[a]}".replace("X", x) for x in ("{x}", f"the {e} {{x}}"))
    if named:
        asks = "|".join(ask for ask in asks.split("|") if f"the {e} {{x}}" in ask)
    results = rng.choice(
        ["{number}", "{number} " + rng.choice(w.UNIT_LIST), "{adjective}", "{Name}", "{color}", "{decimal}", "{noun}", "{city}", "{person}",
         "{time}", "{weekday}", "{code}", "{adjective} and {adjective}", "{int:0:99} percent", "{number} {noun}s", "{day}",
         "${decimal}", "{decimal} EUR", "between {int:2:9} and {int:10:99}", "about {number}", "the {adjective} {noun}", "-{int:1:99}",
         "{sky_adjective}, {int:0:35} degrees", "{adjective}, {adjective} and {adjective}", "{Name} and {Name}"]
    )  # fmt: skip
    params, extras = f"x|{key} = {kind}", {}
    if rng.random() < 0.15:
        params += "; year?|y? = int:1900:2030"
        extras = {"year": "in {year}"}
    params = params.replace("x|", "", 1)
    slot = key.split("|", 1)[0]
    text = asks.replace("{x}", "{" + slot + "}")
    missing = f"Tell me the {a} of the {e}.|I need the {a} of {an} {e}.|What is the {a} of the {e}?"
    missing += "" if named else f"|What is the {a}?|Get the {a}."
    follow = (
        f"And of {{{slot}}}?|And {{{slot}}}?|What about {{{slot}}}?|And the {a} of {{{slot}}}?|How about {{{slot}}}?"
    )
    return skill(
        names, about, params, text, results, f"The {a} of {{{slot}}} is {{R}}.", {slot: missing}, follow, extras
    )


def action_skill(words: w.Words, verb: str | None = None, thing: str | None = None) -> Skill:
    """A tool that does something: "Paint a door." with one to three parameters."""
    rng = words.rng
    v, o = verb or words.verb(), thing or words.noun()
    an = "an" if o[0] in "aeiou" else "a"
    names = " ".join([names_of(words, v, o), names_of(words, o, v), names_of(words, v), names_of(words, "do", v, o)])
    about = rng.choice([f"{v.capitalize()} {an} {o}.", f"{v.capitalize()} the {o}.", f"Use this to {v} {an} {o}.", f"{v.capitalize()} one {o}.",
                        f"This tool can {v} {an} {o}.", f"Lets you {v} the {o}s.", f"Asks the system to {v} {an} {o}."])  # fmt: skip
    p, q = words.noun(), words.of(w.ADJECTIVES)
    levels = ",".join(dict.fromkeys(words.of(w.ADJECTIVES) for _ in range(rng.randint(2, 4))))
    unit = rng.choice(w.UNIT_LIST)
    catalogue = [
        ("color|paint|shade", "color", "in {color}"),
        ("color|shade", "enum:" + ",".join(rng.sample(w.COLORS, 3)), "in {color}"),
        ("size", "enum:small,medium,large", "in size {size}"),
        ("mode|type|kind|option|variant", "enum:" + levels, "in {mode} mode"),
        ("mode|setting|level", "enum:" + levels, "with mode {mode}"),
        ("room|place|where", "room", "in the {room}"),
        ("city|town|place", "city", "in {city}"),
        ("person|owner|user|who|customer", "person", "for {person}"),
        ("count|times|repeat|n", "int:2:30", "{count} times"),
        ("level|strength|value", "int:0:100", "to level {level}"),
        ("minutes|duration", "int:2:90", "for {minutes} minutes"),
        ("time|at|hour", "time", "at {time}"),
        ("day|date|when", "day", "on {day}"),
        (f"{unit}|amount|quantity", "N", "by {" + unit + "} " + unit),
        (f"{p}|with_{p}", f"bool:with {p},without {p}", "{" + p + "}"),
        (f"{q}|is_{q}", f"bool:and make it {q},but not {q}", "{" + q + "}"),
        (f"{p}s|number", "int:2:50", "with {" + p + "s} " + p + "s"),
        ("code|key|ticket", "code", "with code {code}"),
        ("note|text|label|comment", "text", 'with the note "{note}"'),
        (f"{p}s|names|items|list", "list", "with {" + p + "s}"),
        ("material|" + p, "noun", "with {material}"),
    ]
    name_spellings = f"{o}|name|{o}_name|{o}_id|target|id"
    with_name = rng.random() < 0.7
    chosen = rng.sample(catalogue, rng.choice((0, 1, 1, 2)) if with_name else rng.choice((1, 1, 2)))
    params, phrases, seen = [], [], set()
    if with_name:
        params.append(f"{name_spellings} = {rng.choice(('thing', 'thing', 'code', 'person'))}")
        seen.update(name_spellings.split("|"))
    for spelling, kind, phrase in chosen:
        slot = spelling.split("|")[0]
        if slot in seen or slot.lower() == o:
            continue
        seen.add(slot)
        optional = with_name and rng.random() < 0.25
        names_here = "|".join((s + "?" if optional else s) for s in dict.fromkeys(spelling.split("|")))
        params.append(f"{names_here} = {kind}")
        if not optional:
            phrases.append((slot, phrase))
    extras = {spelling.split("|")[0]: phrase for spelling, _, phrase in chosen}
    subject = (
        rng.choice([f"the {o} {{{o}}}", f"the {o} {{{o}}}", f"{{{o}}}"])
        if with_name
        else rng.choice([f"the {o}", f"{an} {o}"])
    )
    frames = ["{V} {S}{P}.", "Please {v} {S}{P}.", "Can you {v} {S}{P}?", "I want you to {v} {S}{P}.", "Could you {v} {S}{P}, please?",
              "{V} {S}{P}, please.", "I need you to {v} {S}{P}.", "Go and {v} {S}{P}.", "{v} {S}{P}", "We have to {v} {S}{P}."]  # fmt: skip

    def ask(skip: str = "") -> str:
        """All request frames, leaving out the phrase of the slot ``skip``."""
        tail = "".join(" " + phrase for slot, phrase in phrases if slot != skip)
        what = f"the {o}" if skip == o else subject
        return "|".join(
            f.replace("{V}", v.capitalize()).replace("{v}", v).replace("{S}", what).replace("{P}", tail) for f in frames
        )

    missing = {slot: ask(slot) for slot, _ in phrases if not slot.startswith(("with", "is_"))}
    missing = {s: t for s, t in missing.items() if s not in (p, q)}
    if with_name:
        missing[o] = ask(o)
    results = rng.choice(
        [
            "ok",
            "ok|done",
            "done",
            f"The {o} is ready.",
            "{code}",
            f"The {o} is {words.of(w.ADJECTIVES)} now.",
            "true",
            "success",
            "{number}",
        ]
    )
    follow = f"And {{{o}}}?|And the {o} {{{o}}}.|Now {{{o}}}.|Also {{{o}}}, please." if with_name else ""
    return skill(names, about, "; ".join(params), ask(), results, "Done.", missing, follow, extras)


def number_skill(words: w.Words) -> Skill:
    """A tool for two numbers with a verb of its own: "Blend two numbers."."""
    v = words.rng.choice([words.made_up(1, 2), words.of(w.VERBS)])
    names = f"{v} {v}_numbers {v}_two {v}"
    about = f"{v.capitalize()} two numbers.|{v.capitalize()}s the first number with the second.|{v.capitalize()} a number and another number."
    params = "a|x|first|left|m|p = {N}; b|y|second|right|n|q = {N}".replace("{N}", "N")
    asks = (
        f"{v.capitalize()} {{a}} and {{b}}.|What do you get if you {v} {{a}} and {{b}}?|Please {v} {{a}} and {{b}}.|{v} {{a}} and {{b}}|"
        f"Can you {v} {{a}} with {{b}}?|{v.capitalize()} the numbers {{a}} and {{b}}."
    )
    return skill(names, about, params, asks, "{number}|{number}|{decimal}", "The result is {R}.")


def list_skill(words: w.Words) -> Skill:
    """A tool that finds things: "Find bakeries in a city."."""
    rng, e = words.rng, words.noun()
    names = " ".join(
        [
            names_of(words, rng.choice(["find", "list", "search", "get", "show"]), e + "s"),
            names_of(words, e, "search"),
            names_of(words, e + "s"),
        ]
    )
    about = rng.choice(
        [
            f"Find {e}s in a city.",
            f"Lists the {e}s of a place.",
            f"Search for a {e} near a place.",
            f"Shows all {e}s in a town.",
        ]
    )
    asks = (
        f"Find a {e} in {{city}}.|Which {e}s are there in {{city}}?|Show me the {e}s in {{city}}.|I am looking for a {e} in {{city}}.|"
        f"List all {e}s in {{city}}.|Where is a {e} in {{city}}?|Is there a {e} in {{city}}?|Search for {e}s near {{city}}."
    )
    return skill(
        names, about, "city|place|town|location|near = city; limit?|count?|max?|number? = int:2:20", asks,
        '["{Name}", "{Name}"]|{Name}|["{Name}", "{Name}", "{Name}"]|{Name} and {Name}', "I found {R}.",
        {"city": f"Find a {e}.|Show me the {e}s.|I am looking for a {e}."}, skills.PLACE_FOLLOW, {"limit": "with {limit} results|, at most {limit}"},
    )  # fmt: skip


def count_skill(words: w.Words) -> Skill:
    """A tool that counts: "Returns the number of windows of a tower."."""
    rng, n, e = words.rng, words.noun(), words.noun()
    names = " ".join(
        [
            names_of(words, "count", n + "s"),
            names_of(words, e, n + "s"),
            names_of(words, "number", "of", n + "s"),
            names_of(words, n, "count"),
        ]
    )
    about = rng.choice(
        [
            f"Returns the number of {n}s of a {e}.",
            f"How many {n}s a {e} has.",
            f"Count the {n}s of a {e}.",
            f"The number of {n}s in a {e}.",
        ]
    )
    asks = (
        f"How many {n}s does {{{e}}} have?|How many {n}s are in {{{e}}}?|How many {n}s has the {e} {{{e}}}?|Count the {n}s of {{{e}}}.|"
        f"What is the number of {n}s of {{{e}}}?|Tell me how many {n}s the {e} {{{e}}} has."
    )
    follow = f"And {{{e}}}?|What about {{{e}}}?|And how many has {{{e}}}?"
    return skill(names, about, f"{e}|name|{e}_name|id = {rng.choice(('thing', 'thing', 'city', 'code'))}", asks, "{int:0:900}",
                 f"{{{e}}} has {{R}} {n}s.", {e: f"How many {n}s are there?|Count the {n}s.|How many {n}s does the {e} have?"}, follow)  # fmt: skip


def place_skill(words: w.Words) -> Skill:
    """A tool that says where something is or when it does something."""
    rng, e = words.rng, words.noun()
    param = f"{e}|name|{e}_name|id = {rng.choice(('thing', 'thing', 'person', 'code'))}"
    follow = f"And {{{e}}}?|What about {{{e}}}?|And the {e} {{{e}}}?"
    if rng.random() < 0.5:
        names = " ".join(
            [
                names_of(words, "where", "is", e),
                names_of(words, "find", e),
                names_of(words, "locate", e),
                names_of(words, e, "location"),
            ]
        )
        about = rng.choice(
            [f"Where a {e} is.", f"Tells where the {e} is.", f"Find the place of a {e}.", f"Locate a {e}."]
        )
        asks = f"Where is {{{e}}}?|Where is the {e} {{{e}}}?|Where can I find the {e} {{{e}}}?|Tell me where {{{e}}} is.|Locate the {e} {{{e}}}."
        results = "in {city}|in the {room}|near {Name}|behind the {noun}|at the {noun}"
        return skill(
            names, about, param, asks, results, f"{{{e}}} is {{R}}.", {e: f"Where is the {e}?|Where is my {e}?"}, follow
        )
    v = words.verb()
    names = " ".join(
        [
            names_of(words, "when", e, v + "s"),
            names_of(words, e, v, "time"),
            names_of(words, "next", v),
            names_of(words, v, "time"),
        ]
    )
    about = rng.choice(
        [
            f"When a {e} {v}s.",
            f"Tells when the {e} {v}s.",
            f"The time at which a {e} {v}s.",
            f"Says when a {e} will {v}.",
        ]
    )
    asks = f"When does {{{e}}} {v}?|When does the {e} {{{e}}} {v}?|When will {{{e}}} {v}?|Tell me when the {e} {{{e}}} {v}s.|At what time does {{{e}}} {v}?"
    results = "at {time}|on {weekday}|in {int:2:50} minutes|on {weekday} at {time}|tomorrow|soon"
    return skill(names, about, param, asks, results, f"{{{e}}} {v}s {{R}}.", {e: f"When does the {e} {v}?"}, follow)


def check_skill(words: w.Words) -> Skill:
    """A tool that answers yes or no: "Check whether a door is open."."""
    rng, e, a = words.rng, words.noun(), words.of(w.ADJECTIVES)
    names = " ".join(
        [
            names_of(words, "is", a),
            names_of(words, "is", e, a),
            names_of(words, "check", e),
            names_of(words, "check", a),
        ]
    )
    about = rng.choice(
        [
            f"Check whether a {e} is {a}.",
            f"Tells if a {e} is {a}.",
            f"Whether the {e} is {a}.",
            f"True if a {e} is {a}.",
            f"Is a {e} {a}?",
        ]
    )
    asks = f"Is {{{e}}} {a}?|Is the {e} {{{e}}} {a}?|Check if {{{e}}} is {a}.|Tell me whether the {e} {{{e}}} is {a}.|Do you know if {{{e}}} is {a}?"
    follow = f"And {{{e}}}?|What about {{{e}}}?"
    return skill(names, about, f"{e}|name|{e}_name|id = {rng.choice(('thing', 'person', 'city', 'code'))}", asks, "yes|no|true|false|True|False",
                 f"{{YES}}{{{e}}} is{{NOT}} {a}.", {e: f"Is the {e} {a}?|Check if it is {a}."}, follow)  # fmt: skip


def bare_skill(words: w.Words) -> Skill:
    """A tool without parameters: "The current pressure."."""
    rng = words.rng
    if rng.random() < 0.5:
        a = words.attribute()
        names = " ".join([names_of(words, rng.choice(["get", "read", "show", "current", "my"]), a), names_of(words, a)])
        about = rng.choice(
            [f"Get the {a}.", f"The current {a}.", f"Returns the {a} now.", f"Shows the {a}.", f"Read the {a}."]
        )
        asks = f"What is the {a}?|Tell me the {a}.|Show me the {a}.|What's the {a} now?|I need the {a}.|Get the {a}.|What is the {a} now?|Give me the {a}."
        return skill(
            names,
            about,
            "",
            asks,
            rng.choice(["{number}", "{adjective}", "{decimal}", "{Name}", "{time}", "{int:0:99} percent"]),
            f"The {a} is {{R}}.",
        )
    n = words.noun()
    if rng.random() < 0.5:
        names = " ".join(
            [names_of(words, rng.choice(["list", "get", "show", "all"]), n + "s"), names_of(words, n + "s")]
        )
        about = rng.choice([f"List all {n}s.", f"The {n}s that exist.", f"Shows all {n}s.", f"Get the list of {n}s."])
        asks = f"Which {n}s are there?|List all {n}s.|Show me the {n}s.|Show all {n}s.|What {n}s do you have?|Get the list of {n}s."
        return skill(
            names, about, "", asks, '["{Name}", "{Name}"]|{Name}, {Name}|["{noun}", "{noun}", "{noun}"]', "I found {R}."
        )
    v = words.verb()
    names = " ".join([names_of(words, v, n), names_of(words, v, "all"), names_of(words, v, "the", n)])
    about = rng.choice(
        [f"{v.capitalize()} the {n}.", f"{v.capitalize()}s the {n} at once.", f"Use this to {v} the {n}."]
    )
    asks = f"{v.capitalize()} the {n}.|Please {v} the {n}.|Can you {v} the {n}?|{v} the {n}|I want you to {v} the {n}.|{v.capitalize()} the {n} now."
    return skill(names, about, "", asks, f"ok|done|The {n} is ready.|true", "Done.")


def procedural(words: w.Words) -> Skill:
    """Any procedural skill."""
    kinds = (lookup_skill, action_skill, list_skill, number_skill, count_skill, place_skill, check_skill, bare_skill)
    return words.rng.choices(kinds, (34, 32, 5, 5, 5, 6, 5, 8))[0](words)


# ---------------------------------------------------------------------------------------------------- small talk

TALK: list[tuple[str, str]] = [
    ("Hello!|Hello|Hi|Hi!|Hello!|Hello|Hi|Hi!|Hello.|Hi.|Hello there!|Hello, Pocket!|Hey|Hey there|Good morning|Good evening|Good day|hello|hi there|Hello Pocket|Greetings|hey!|good morning!|Hallo",
     "Hello! How can I help you?"),
    ("How are you?|How are you today?|How do you do?|How is it going?|Are you well?|how are you|Hi, how are you?|Hello, how are you?",
     "I am fine, thank you. How can I help you?"),
    ("Who are you?|Who are you?|What are you?|What is your name?|What is your name?|Tell me who you are.|who are you|What's your name?|Introduce yourself.|"
     "Tell me about yourself.|What should I call you?|What model are you?|Which model is this?", "I am Pocket, a very small language model."),
    ("Thanks|Thank you|Thanks!|Thank you!|Thanks.|Thank you.|Thank you!|Thanks!|Thank you very much|thanks a lot|Many thanks|Great, thanks|Thanks for the help|thx|Perfect, thank you.",
     "You are welcome!"),
    ("Bye|Goodbye|See you|bye bye|Good night|See you later|Goodbye!|Bye!|That is all.|I have to go.|good night", "Goodbye!"),
    ("What can you do?|How can you help me?|What are you good at?|Help|help me|Can you help me?|What do you do?|I need help.",
     "I can talk a little and call the tools that you give me."),
    ("Are you a robot?|Are you human?|Are you a person?|Are you real?|Are you an AI?|Are you a machine?|Is this a computer?",
     "I am a computer program."),
    ("How old are you?|When were you born?|What is your age?", "I am quite new."),
    ("Where are you?|Where do you live?|Where are you from?|Where do you run?", "I live in your computer."),
    ("Who made you?|Who built you?|Who trained you?|Who is your maker?|How were you made?|How were you trained?",
     "I was trained from nothing on made-up dialogues."),
    ("Tell me a joke.|Do you know a joke?|Make me laugh.|Say something funny.|a joke please|Tell a joke",
     "What do you call a bear without teeth? A gummy bear."),
    ("Tell me a story.|Do you know a story?|A story please.", "Once a little fox found a warm house and slept well."),
    ("You are great!|Well done!|Good job!|Nice!|Great!|Wonderful!|You are nice.|good work|I like you.|Cool!|Awesome|Perfect!|That is good.",
     "Thank you!"),
    ("You are stupid.|That is wrong.|You are bad.|Wrong!|That is not right.|I do not like you.|No, that is wrong.|bad answer", "I am sorry."),
    ("I am sad.|I feel bad.|I am not well.|I had a bad day.|I am tired.|I am lonely.|I am ill.", "I am sorry to hear that."),
    ("I am happy.|I feel good.|I had a good day.|I am fine.|I am well.|All is good.|It is a nice day.", "That is nice to hear!"),
    ("Ok|Okay|ok|Good.|Fine.|I see.|All right|Yes.|Sure.|Understood.|Got it", "Good. Is there anything else?"),
    ("No|No.|Nothing.|No, that is all.|Never mind.|Forget it.|Stop.|Nothing else.", "All right."),
    ("Do you sleep?|Do you eat?|Do you dream?|Do you have feelings?|Do you love me?|Can you feel?|Do you have friends?",
     "No, I am only a program."),
    ("What is the meaning of life?|Why are we here?|What is love?|Is there a god?|What is truth?", "I do not know."),
    ("What are you doing?|What do you do now?|Are you busy?", "I am waiting for your question."),
    ("Are you there?|Hello?|Can you hear me?|Are you awake?|Anybody there?", "Yes, I am here."),
    ("Can you speak German?|Do you speak French?|Which languages do you speak?|Do you know Spanish?", "I only speak simple English."),
    ("I have a question.|May I ask something?|Can I ask you something?|I want to ask something.", "Yes, please ask."),
    ("What color is the sky?|Which color has the sky?", "The sky is blue."),
    ("What color is grass?|What color is the grass?", "Grass is green."),
    ("What is the capital of France?", "The capital of France is Paris."),
    ("What is the capital of Italy?", "The capital of Italy is Rome."),
    ("What is the capital of England?|What is the capital of the UK?", "The capital of England is London."),
    ("What is the capital of Germany?", "The capital of Germany is Berlin."),
    ("What is the capital of Spain?", "The capital of Spain is Madrid."),
    ("What is the capital of Norway?", "The capital of Norway is Oslo."),
    ("How many days are in a week?|How many days has a week?", "A week has seven days."),
    ("How many months are in a year?|How many months has a year?", "A year has twelve months."),
    ("How many hours has a day?|How many hours are in a day?", "A day has 24 hours."),
    ("Count to five.|Count from one to five.", "One, two, three, four, five."),
    ("Is the earth round?|Is the earth flat?", "The earth is round."),
    ("What does a cow say?|What sound does a cow make?", "A cow says moo."),
    ("What does a cat say?|What sound does a cat make?", "A cat says meow."),
    ("What is water?|What is water made of?", "Water is a clear liquid that we drink."),
    ("What is Python?|What is a programming language?", "Python is a programming language."),
]  # fmt: skip


def small_talk(words: w.Words) -> tuple[str, str]:
    """A user's remark that needs no tool, and the answer."""
    rng, draw = words.rng, words.rng.random()
    if draw < 0.68:
        asks, answer = rng.choice(TALK[:24] if rng.random() < 0.75 else TALK)
        return rng.choice(asks.split("|")), answer
    if draw < 0.78:
        name = words.person()
        ask = rng.choice(
            [
                f"My name is {name}.",
                f"I am {name}.",
                f"Hello, I am {name}.",
                f"Hi, my name is {name}",
                f"Call me {name}.",
                f"I'm {name}.",
            ]
        )
        return ask, f"Nice to meet you, {name}!"
    if draw < 0.9:
        text = rng.choice([words.text(), words.thing_name(), words.noun(), words.made_up()])
        return rng.choice(
            [
                f"Say {text}.",
                f'Say "{text}".',
                f"Repeat: {text}",
                f'Repeat "{text}".',
                f"Please say {text}.",
                f"Write {text}.",
            ]
        ), text
    if draw < 0.95:
        n, a = words.noun(), words.of(w.ADJECTIVES)
        ask = rng.choice([f"The {n} is {a}.", f"I saw a {a} {n}.", f"We have a {a} {n}.", f"I was in {words.city()} yesterday.", f"I met {words.person()} today.",
                          f"I bought a {n}.", f"My {n} is {a}.", f"Yesterday I saw {words.person()}.", "It is late.", f"I am in {words.city()}.",
                          f"I have a {n}.", "I am at home.", f"{words.person()} is my friend.", f"I live in {words.city()}."])  # fmt: skip
        return ask, "I see."
    thing = rng.choice([words.noun() + "s", words.of(w.FOODS), words.city()])
    ask = rng.choice([f"I like {thing}.", f"I love {thing}.", f"My favorite thing is {thing}."])
    return ask, f"I think {thing} is nice." if not thing.endswith("s") else f"I think {thing} are nice."


SYSTEMS = (
    "You are brief.|You are brief.|You are a helpful assistant.|You are a helpful assistant.|You are helpful.|Answer in one sentence.|"
    "Be short.|You are a friendly assistant.|Use the tools when you can.|You are an assistant with tools.|Be polite.|"
    "Answer briefly.|You help the user.|You are a kind helper.|Keep it short.|Use tools to answer.|You are precise.|Be concise."
).split("|")


def system_prompt(words: w.Words) -> tuple[str | None, str | None]:
    """A system message or none, and the name it gives to the assistant, if any."""
    rng, draw = words.rng, words.rng.random()
    if draw < 0.42:
        return None, None
    if draw < 0.88:
        return rng.choice(SYSTEMS), None
    if draw < 0.94:
        job = f"You are a helper for {rng.choice(['the ', 'a '])}{words.noun()}{rng.choice([' shop', ' team', '', ' company', ' in ' + words.city()])}."
        return job + rng.choice(["", " " + rng.choice(SYSTEMS)]), None
    name = words.person().split()[0]
    if rng.random() < 0.4:
        return f"The user's name is {name}." + rng.choice(["", " " + rng.choice(SYSTEMS)]), None
    return f"Your name is {name}." + rng.choice(["", " " + rng.choice(SYSTEMS)]), name


# ---------------------------------------------------------------------------------------------------- dialogues


def polish(rng: random.Random, text: str) -> str:
    """Natural variation of a request: greetings, small letters, no full stop."""
    draw = rng.random()
    if rng.random() < 0.05:
        text = rng.choice(["I am at work. ", "I have a question. ", "It is late. ", "I need your help. ", "I am in a hurry. ", "One more thing. ",
                           "My friend wants to know this. ", "I am planning a trip. ", "Quick question: ", "I forgot it. ", "Hi there! "]) + text  # fmt: skip
    if draw < 0.06:
        text = (
            rng.choice(["Hi, ", "Hello, ", "Hey, ", "Please: ", "Pocket, ", "So, ", "Now, ", "Ok, ", "Hello! ", "Hi. "])
            + text
        )
    elif draw < 0.14:
        text = text[0].lower() + text[1:]
    elif draw < 0.2:
        text = text.rstrip(".?!")
    elif draw < 0.24:
        text = (
            text.rstrip(".") + rng.choice([" please", ", please.", " now.", "!", " Thanks."])
            if not text.endswith(("?", '"'))
            else text + " Thanks."
        )
    return text


def call_message(calls: list[tuple[Tool, Request]]) -> Message:
    """The assistant's message that makes ``calls``."""
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": t.name, "arguments": r.arguments}} for t, r in calls],
    }


def act(messages: list[Message], calls: list[tuple[Tool, Request]]) -> None:
    """Append calls, results and the answer."""
    messages.append(call_message(calls))
    quoted = calls[0][0].words.rng.random() < 0.05  # some programs hand over every result as JSON, also a plain text
    for tool, request in calls:
        plain_text = request.result[:1] not in ("[", "{", "")
        text = json.dumps(request.result, ensure_ascii=False) if quoted and plain_text else request.result
        messages.append({"role": "tool", "name": tool.name, "content": text})
    answers: list[str] = []
    for _, request in calls:
        answer = request.answer
        if any(a.startswith("Done") for a in answers):  # say "Done." once
            answer = "" if answer == "Done." else answer.removeprefix("Done. ")
        if answer and answer not in answers:
            answers.append(answer)
    messages.append({"role": "assistant", "content": " ".join(answers)})


def offer(words: w.Words, pool: list[Skill], count: int, procedural_share: float) -> list[Tool]:
    """``count`` tools that do not rival each other, often with confusable neighbours."""
    rng = words.rng
    chosen: list[Skill] = []
    if rng.random() < procedural_share and count > 1 and rng.random() < 0.5:
        a, e = words.attribute(), words.noun()
        same_thing = rng.random() < 0.6
        chosen.append(lookup_skill(words, a, e, named=not same_thing))
        if rng.random() < 0.3:
            chosen.append(action_skill(words, None, e))
        while len(chosen) < count:
            neighbour = lookup_skill(words, None, e) if same_thing else lookup_skill(words, a, None, named=True)
            if not any(rivals(neighbour, old) for old in chosen):
                chosen.append(neighbour)
    while len(chosen) < count:
        new = procedural(words) if rng.random() < procedural_share else rng.choice(pool)
        if not any(rivals(new, old) or rivals(old, new) for old in chosen):
            chosen.append(new)
    tools: list[Tool] = []
    for source in chosen:
        tool = Tool(words, source)
        if all(tool.name != t.name for t in tools):
            tools.append(tool)
    rng.shuffle(tools)
    return tools


def outside(words: w.Words, tools: list[Tool], pool: list[Skill]) -> str:
    """A request that none of ``tools`` can serve."""
    while True:
        source = procedural(words) if words.rng.random() < 0.5 else words.rng.choice(pool)
        if not any(rivals(source, t.source) for t in tools):
            return Tool(words, source).request()[0].text


def answer_value(words: w.Words, spoken: str) -> str:
    """How a user gives a value that was asked for."""
    return words.rng.choice(
        [spoken, spoken, spoken + ".", f"{spoken}, please.", f"I mean {spoken}.", f"Take {spoken}.", f"Use {spoken}."]
    )


def dialogue(
    words: w.Words, pool: list[Skill], skill_name: str | None = None, procedural_share: float = 0.6
) -> Dialogue:
    """One dialogue. ``skill_name`` fixes what its first turn is about; otherwise it is drawn."""
    rng = words.rng
    system, own_name = system_prompt(words)
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    kinds = ["call", "two calls", "two tools", "missing", "no tool", "talk"]
    first = skill_name or rng.choices(kinds, (50, 8, 7, 9, 10, 16))[0]
    with_tools = first != "talk" or rng.random() < 0.45
    if first == "no tool" and rng.random() < 0.15:
        with_tools = False
    low = 2 if first == "two tools" else 1
    tools = (
        offer(
            words,
            pool,
            rng.choices((1, 2, 3, 4), (30, 32, 23, 15))[0] if low == 1 else rng.randint(2, 4),
            procedural_share,
        )
        if with_tools
        else []
    )
    turns = 1 if skill_name else rng.choices((1, 2, 3, 6), (48, 34, 15, 3))[0]
    last: tuple[Tool, Request] | None = None
    user_name = re.search(r"The user's name is ([^.]+)\.", system or "")
    known = user_name.group(1) if user_name else None
    for turn in range(turns):
        kind = first if turn == 0 else rng.choices(kinds, (42, 6, 6, 6, 9, 18))[0]
        if not tools and kind not in ("talk", "no tool"):
            kind = "talk"
        if turn and last and last[1].answer.startswith("That did not work") and rng.random() < 0.3:
            again = last[0].finish(Request("", last[1].arguments, last[1].spoken))
            ask = rng.choice(["Try again.", "Again, please.", "Please try it again.", "try again", "Try it once more."])
            messages.append({"role": "user", "content": ask})
            act(messages, [(last[0], again)])
            last = (last[0], again)
            continue
        if turn and last and rng.random() < 0.4:
            following = last[0].follow(last[1])
            if following is not None:
                messages.append({"role": "user", "content": following.text})
                act(messages, [(last[0], following)])
                last = (last[0], following)
                continue
        if kind == "talk":
            ask, reply = small_talk(words)
            if reply.startswith("Nice to meet you, "):
                known = reply[18:-1]
            elif rng.random() < (0.4 if known else 0.02):
                ask = rng.choice(
                    ["What is my name?", "Who am I?", "Do you know my name?", "Tell me my name.", "what's my name?"]
                )
                reply = f"Your name is {known}." if known else "I do not know your name."
            if own_name and reply.startswith("I am Pocket"):
                reply = f"I am {own_name}."
            messages += [{"role": "user", "content": ask}, {"role": "assistant", "content": reply}]
        elif kind == "no tool":
            messages += [
                {"role": "user", "content": polish(rng, outside(words, tools, pool))},
                {"role": "assistant", "content": SORRY},
            ]
        elif kind == "missing":
            options = [(t, m) for t in tools if (m := t.missing())]
            if not options:
                kind = "call"
            else:
                tool, (text, slot, request) = rng.choice(options)
                question = f"Which {tool.spelling[slot].replace('_', ' ')} should I use?"
                messages += [{"role": "user", "content": polish(rng, text)}, {"role": "assistant", "content": question}]
                if not skill_name and rng.random() < 0.75:
                    messages.append({"role": "user", "content": answer_value(words, request.spoken[slot])})
                    act(messages, [(tool, request)])
                    last = (tool, request)
        if kind == "two calls":
            options_two = [t for t in tools if t.joinable()]
            if not options_two:
                kind = "two tools" if len(tools) > 1 else "call"
            else:
                tool = rng.choice(options_two)
                many = tool.request(joined=rng.choice((2, 2, 2, 3)))
                messages.append({"role": "user", "content": polish(rng, many[0].text)})
                act(messages, [(tool, r) for r in many])
        if kind == "two tools" and len(tools) > 1:
            one, two = rng.sample(tools, 2)
            a, b = one.request()[0], two.request()[0]
            begin = b.text[0].lower() + b.text[1:] if rng.random() < 0.7 else b.text
            text = rng.choice([a.text.rstrip(".?!") + " and " + begin, a.text + " " + b.text, a.text + " And " + begin, a.text + " Also, " + begin,
                               a.text.rstrip(".?!") + ", then " + begin])  # fmt: skip
            messages.append({"role": "user", "content": text})
            act(messages, [(one, a), (two, b)])
        elif kind in ("call", "two tools"):
            tool = rng.choice(tools)
            request = tool.request()[0]
            messages.append({"role": "user", "content": polish(rng, request.text)})
            act(messages, [(tool, request)])
            last = (tool, request)
    return {
        "messages": messages,
        "tools": [{"type": "function", "function": t.function} for t in tools],
        "skill": first,
    }


def training_dialogues(seed: int) -> Iterator[Dialogue]:
    """An endless stream of training dialogues."""
    rng = random.Random(seed)
    words = w.Words(rng)
    pool = skills.TRAIN + 3 * skills.TRAIN[:1]  # the weather is what everybody tries first
    while True:
        yield dialogue(words, pool)


def copying_text(words: w.Words) -> str:
    """Plain text whose second half can be predicted from its first half: it teaches a young model to copy."""
    rng, draw = words.rng, words.rng.random()
    if draw < 0.4:
        items = [words.thing_name() for _ in range(rng.randint(2, 8))]
        text = " ".join(items)
        return f"{text}\n{text}" + (f"\n{text}" if rng.random() < 0.3 else "")
    pairs = {
        words.noun(): rng.choice([words.thing_name(), words.noun(), str(rng.randint(0, 999))])
        for _ in range(rng.randint(2, 6))
    }
    shuffled = list(pairs.items())
    rng.shuffle(shuffled)
    if draw < 0.7:
        return json.dumps(pairs, ensure_ascii=False) + "\n" + "\n".join(f"The {k} is {v}." for k, v in shuffled)
    return (
        " ".join(f"The {k} is {v}." for k, v in pairs.items()) + "\n" + json.dumps(dict(shuffled), ensure_ascii=False)
    )


# ---------------------------------------------------------------------------------------------------- evaluation

EVALUATION_SKILLS = {
    "everyday tool, new values": "call",
    "held-out tool": "call",
    "made-up tool, held-out words": "call",
    "one of four tools": "call",
    "two calls of one tool": "two calls",
    "two different tools": "two tools",
    "asks for what is missing": "missing",
    "no tool fits": "no tool",
    "follow-up": "follow",
    "small talk with tools": "talk",
    "small talk without tools": "talk",
}


def evaluation_dialogues(per_skill: int, seed: int = 4_000_037) -> Iterator[Dialogue]:
    """Held-out dialogues: names, nouns, verbs and attributes come from the held-out words only.

    "held-out tool" and the mixed skills also use hand-written tools that training never offers. The sentence frames
    ("What is the ... of ...?") and the small talk are the same as in training.
    """
    for number, (label, kind) in enumerate(EVALUATION_SKILLS.items()):
        rng = random.Random(seed + number)
        words = w.Words(rng, held_out=True)
        count = 0
        while count < per_skill:
            pool, share = skills.HELD_OUT, 0.6
            if label.startswith("everyday"):
                pool, share = skills.TRAIN, 0.0
            elif label.startswith("held-out"):
                share = 0.0
            elif label.startswith(("made-up", "one of four")):
                share = 1.0
            made = follow_dialogue(words, pool) if kind == "follow" else dialogue(words, pool, kind, share)
            offered = len(made["tools"])
            if label.startswith("one of four") and offered != 4:
                continue
            if kind == "talk" and ("without" in label) == bool(offered):
                continue
            if kind in ("two calls", "two tools") and made["messages"][-2]["role"] != "tool":
                continue
            calls = [m for m in made["messages"] if m.get("tool_calls")]
            if kind in ("two calls", "two tools") and len(calls[0]["tool_calls"]) < 2:
                continue
            if kind == "missing" and calls:
                continue
            if kind == "no tool" and not offered:
                continue
            made["skill"] = label
            count += 1
            yield made


def follow_dialogue(words: w.Words, pool: list[Skill]) -> Dialogue:
    """A request, its answer, and a follow-up."""
    while True:
        tools = offer(words, pool, words.rng.randint(1, 3), 0.6)
        tool = words.rng.choice(tools)
        request = tool.request()[0]
        again = tool.follow(request)
        if again:
            messages: list[Message] = [{"role": "user", "content": request.text}]
            act(messages, [(tool, request)])
            messages.append({"role": "user", "content": again.text})
            act(messages, [(tool, again)])
            return {
                "messages": messages,
                "tools": [{"type": "function", "function": t.function} for t in tools],
                "skill": "follow",
            }
