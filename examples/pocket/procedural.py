"""Skills that are new in every dialogue, made from drawn words: "Get the wingspan of a zorple."."""

from __future__ import annotations

from dataclasses import replace

from . import skills
from . import words as w
from .frames import FRAMES, frame_skill
from .more_frames import MORE_FRAMES
from .skill import Skill, skill
from .words import names_of

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
    params, extras, tail = f"{key} = {kind}", {}, ""
    if rng.random() < 0.15:
        params += "; year?|y? = int:1900:2030"
        extras = {"year": "in {year}"}
    elif words.strange(0.25):  # a second parameter that every request mentions
        n = words.noun()
        spelling, second, phrase = rng.choice(
            [("day|date|when|weekday", "day", "on {day}"), ("city|place|town", "city", "in {city}"), (f"{n}s|count|number", "int:2:40", f"for {{{n}s}} {n}s"),
             (f"{n}|with|{n}_name", "thing", f"with the {n} {{{n}}}"), ("time|at|hour", "time", "at {time}"),
             (f"{n}|mode|type", "enum:" + ",".join(dict.fromkeys(words.noun() for _ in range(3))), f"in {{{n}}} {n}"),
             (f"{n}|value|x", "int:0:999", f"with {n} {{{n}}}"), (f"{n}|with_{n}", f"bool:with {n},without {n}", f"{{{n}}}")]
        )  # fmt: skip
        if not set(spelling.split("|")) & set(key.split("|")):
            params += f"; {spelling} = {second}"
            tail = " " + phrase
            asks = "|".join(ask.rstrip(".?") + tail + (ask[-1] if ask[-1] in ".?" else "") for ask in asks.split("|"))
    slot = key.split("|", 1)[0]
    text = asks.replace("{x}", "{" + slot + "}")
    missing = f"Tell me the {a} of the {e}{tail}.|I need the {a} of {an} {e}{tail}.|What is the {a} of the {e}{tail}?"
    missing += "" if named else f"|What is the {a}{tail}?|Get the {a}{tail}."
    follow = (
        f"And of {{{slot}}}?|And {{{slot}}}?|What about {{{slot}}}?|And the {a} of {{{slot}}}?|How about {{{slot}}}?"
    )
    made = skill(
        names, about, params, text, results, f"The {a} of {{{slot}}} is {{R}}.", {slot: missing}, follow, extras
    )
    return replace(made, parts=("lookup", a, e))


def action_skill(words: w.Words, verb: str | None = None, thing: str | None = None, named: bool = False) -> Skill:
    """A tool that does something: "Paint a door." with one to three parameters.

    With ``named`` every request says which kind of thing it is about.
    """
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
    if not words.held_out:
        r, s = words.noun(), words.attribute().replace(" ", "_")
        odd = ",".join(dict.fromkeys(words.noun() for _ in range(rng.randint(2, 4))))
        catalogue += [
            (f"{r}|with|using", "thing", f"with the {r} {{{r}}}"),
            (f"{r}|{r}_name|source", "thing", f"from the {r} {{{r}}}"),
            (f"{r}|{r}_id", "code", f"for {r} {{{r}}}"),
            (f"{s}|value", "int:0:500", f"with {s.replace('_', ' ')} {{{s}}}"),
            (f"{s}|{s}_value", "thing", f"and the {s.replace('_', ' ')} {{{s}}}"),
            (
                f"{r}|mode|kind",
                "enum:" + odd,
                rng.choice([f"in {{{r}}} {r}", f"to {{{r}}}", f"as {{{r}}}", f"{{{r}}}", f"with {r} {{{r}}}"]),
            ),
            (f"{unit}|amount|n", "int:1:60", f"for {{{unit}}} {unit}"),
            (f"{q}|is_{q}", f"bool:so that it is {q},so that it is not {q}", f"{{{q}}}"),
            (f"is_{q}|{q}|make_{q}", f"bool:so that it is {q}/and make it {q}/and it must be {q},", f"{{is_{q}}}"),
            (f"with_{r}|{r}|{r}_too", f"bool:with {r}/and the {r}/with a {r}/together with the {r},", f"{{with_{r}}}"),
            (
                "is_daily|every_day|daily|repeat",
                "bool:every day/each day/daily/day by day,/only once/once",
                "{is_daily}",
            ),
            (
                "is_urgent|urgent|right_away|fast",
                "bool:at once/right away/as fast as you can/immediately,",
                "{is_urgent}",
            ),
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
        rng.choice([f"the {o} {{{o}}}", f"the {o} {{{o}}}", f"the {o} {{{o}}}" if named else f"{{{o}}}"])
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
    made = skill(names, about, "; ".join(params), ask(), results, "Done.", missing, follow, extras)
    return replace(made, parts=("action", v, o))


def number_skill(words: w.Words) -> Skill:
    """A tool for two numbers with a verb of its own: "Blend two numbers."."""
    v = words.rng.choice([words.made_up(1, 2), words.of(w.VERBS)])
    names = f"{v} {v}_numbers {v}_two {v}"
    about = f"{v.capitalize()} two numbers.|{v.capitalize()}s the first number with the second.|{v.capitalize()} a number and another number."
    params = "a|x|first|left|m|p = N; b|y|second|right|n|q = N"
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
    """Any procedural skill. Those made of frames are for training only."""
    if words.strange(0.4):
        return frame_skill(words, words.rng.choice(FRAMES + MORE_FRAMES))
    kinds = (lookup_skill, action_skill, list_skill, number_skill, count_skill, place_skill, check_skill, bare_skill)
    return words.rng.choices(kinds, (34, 32, 5, 5, 5, 6, 5, 8))[0](words)
