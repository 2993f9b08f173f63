"""Tools for quantities, which people ask for with an adjective: the weight of a kite is "How heavy is it?".

The description names the quantity and the request does not; the two have to be known together. Several tools for the same
thing, or for the same quantity of several things, are often offered side by side (``measures``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import words as w
from .skill import Skill, skill


@dataclass(frozen=True)
class Measure:
    """A quantity: how it is called, the adjectives that ask for it, its units, and other questions for it (X is the thing)."""

    names: str
    how: str = ""
    units: str = ""
    asks: str = ""
    kinds: str = "thing thing thing object object code title"
    rivals: str = ""  # hand-written tools that could serve the same requests

    @property
    def learnt(self) -> list[str]:
        """The names that training uses: those whose words are on its side of the split."""
        return [name for name in self.names.split("|")[:2] if not any(map(w.is_held_out, name.split("_")))]


MEASURES = [
    Measure("length", "long|long|long|short", "meters|cm|km|feet"),
    Measure("height|altitude", "tall|tall|high|high|low", "meters|cm|feet", kinds="thing thing object code full"),
    Measure("weight", "heavy|heavy|light", "kg|grams|tons|pounds", "What does X weigh?|How much does X weigh?|How many kilos does X have?|How many grams is X?", "thing thing object code full"),
    Measure("age", "old|old|old|young", "years|days|months", "How many years has X been here?|How many years is X old?", "thing thing object full person code"),
    Measure("speed|velocity", "fast|fast|quick|slow", "km/h|knots|miles an hour", "How quickly does X move?|How fast can X go?|How fast does X move?"),
    Measure("depth", "deep|deep|deep|shallow", "meters|cm|feet"),
    Measure("distance", "far|far away|far off|far from here", "km|miles|meters", "How far is it to X?|How far is the way to X?|Is it far to X?|How many kilometers is it to X?", "thing city city object"),
    Measure("price|cost|fee", "expensive|expensive|cheap|costly", "euros|dollars|EUR", "How much is X?|How much is X?|What does X cost?|How much does X cost?|What must I pay for X?|How much do you want for X?|How much money do I need for X?"),
    Measure("temperature", "warm|hot|cold|cool", "degrees|°C", "", "thing thing object object city label", "weather"),
    Measure("width|breadth", "wide|wide|broad|narrow", "meters|cm|mm"),
    Measure("brightness", "bright|bright|dark|dim", "lux|percent|lumen"),
    Measure("population", "", "people|million", "How many people live in X?|How many people live in X?|Do many people live in X?|How many live in X?|How many people are at home in X?|How many people has X got?", "thing city city"),
    Measure("duration|running_time", "", "minutes|hours|days", "How long does X take?|How long does X last?|How much time does X take?|How many minutes does X take?|How much time do I need for X?|For how long does X go on?|How many hours must I plan for X?", "thing object title code", "movie_times"),
    Measure("thickness", "thick|thick|thin", "mm|cm"),
    Measure("size|area", "big|big|large|small|huge", "square meters|acres|cm"),
    Measure("softness", "soft|soft|fluffy"),
    Measure("loudness|noise", "loud|loud|noisy|quiet", "decibels"),
    Measure("capacity", "", "liters|people|tons", "How much fits into X?|How many people fit into X?|How much goes into X?|How much can X hold?|How many can get into X?|Is there room for many in X?"),
    Measure("strength", "strong|strong|weak"),
    Measure("frequency", "", "times a day|times a week", "How often does X come?|How often does X happen?|How often is there X?|How many times a day does X come?"),
    Measure("humidity|moisture", "wet|damp|moist|dry", "percent"),
    Measure("slope|gradient", "steep|steep|flat", "percent|degrees"),
    Measure("popularity", "popular|beloved", "percent", "How many people like X?|Does anybody like X?|Do people like X?"),
    Measure("difficulty", "difficult|easy|tricky", "points"),
    Measure("sweetness|sugar_content", "sweet|sweet|sugary", "grams|percent"),
    Measure("sharpness", "sharp|blunt"),
    Measure("occupancy|fill_level", "full|full|crowded|empty", "percent", "", "thing object label city", "traffic"),
    Measure("salary|income|wage", "", "euros|dollars", "How much does X earn?|What does X earn?|How much does X get a month?|How much does X make a year?|How well is X paid?", "person full full"),
    Measure("cleanliness|purity", "clean|clean|dirty|pure", "percent|points"),
    Measure("danger|risk_level", "dangerous|dangerous|safe|risky", "points"),
    Measure("wealth|fortune", "rich|rich|wealthy|poor", "million|euros", "How much money does X have?|How much money has X got?", "person full full"),
    Measure("value", "valuable|precious", "euros|dollars", "How much is X worth?|How much is X worth?|What is X worth?|What could I get for X if I sold it?"),
    Measure("quality|rating|condition|grade|score|rank", "good|good|bad", "points|stars"),
    Measure("rarity", "rare|common|rare"),
    Measure("roughness", "rough|smooth|rough"),
    Measure("range", "", "km|meters|miles", "How far can X go?|How far does X get?|How far does X reach?|How many kilometers can X go?"),
    Measure("lifespan", "", "years|days", "How long does X live?|How old does X get?|How many years does X live?|How long will X live?"),
    Measure("delay", "late|late|late", "minutes|hours|days", "How long do I still have to wait for X?|How many minutes behind time is X?", rivals="flight_status track_package"),
    Measure("freshness", "fresh|fresh|stale", "days|points"),
    Measure("clarity", "clear|clear|murky", "percent|points"),
    Measure("stability", "stable|firm|shaky", "points"),
    Measure("reach|audience", "well known|famous", "people|million", "How many people know X?|Who knows X? How many are they?"),
]  # fmt: skip

LEARNT = [number for number, measure in enumerate(MEASURES) if measure.learnt]
_NUMBER = {name.replace("_", " "): number for number, one in enumerate(MEASURES) for name in one.names.split("|")}

ASKS = (
    "How {h} is X?|How {h} is X?|How {h} is X?|How {h} is X now?|How {h} is X really?|Tell me how {h} X is.|Do you know how {h} X is?|"
    "Can you find out how {h} X is?|I want to know how {h} X is.|Is X very {h}?|How {h} might X be?|I wonder how {h} X is.|"
    "Please check how {h} X is.|How {h} would you say X is?|how {h} is X|Just how {h} is X?|X, how {h} is it?"
)
PLAIN = "What is X's {q}?|What is the {q} of X?|{q} of X?|Tell me X's {q}."


def same_quantity(one: str, other: str) -> bool:
    """Whether two properties are asked for with the same words."""
    return one == other or _NUMBER.get(one, -1) == _NUMBER.get(other, -2)


def is_quantity(name: str) -> bool:
    """Whether it is in the table."""
    return name in _NUMBER


def measure_skill(
    words: w.Words, number: int | None = None, thing: str | None = None, named: bool = False, kind: str | None = None
) -> Skill:
    """A tool for the quantity ``number`` of a thing. With ``named`` every request says which kind of thing it is about."""
    rng = words.rng
    number = rng.choice(LEARNT) if number is None else number
    measure, e = MEASURES[number], thing or words.noun()
    name = rng.choice(measure.learnt)
    q = name.replace("_", " ")
    kind = kind or rng.choice(measure.kinds.split())
    if named and kind == "object":
        kind = "thing"
    slot = e.replace(" ", "_")
    key = f"{slot}|name|{slot}_name|which|{slot}_id|what|item"
    verb = rng.choice(["get", "find", "measure", "check", "tell", "query"])
    names = " ".join(
        [f"{slot}_{name}".lower(), w.names_of(words, verb, e, name), w.names_of(words, e, name), w.names_of(words, name, "of", e), w.names_of(words, name),
         w.names_of(words, verb, name), w.names_of(words, rng.choice(["measure", "lookup", "about"]), e)]
    )  # fmt: skip
    an = "an" if e[0] in "aeiou" else "a"
    unit = rng.choice(measure.units.split("|"))
    about = rng.choice(
        [f"The {q} of {an} {e}.", f"Get the {q} of {an} {e}.", f"Returns the {q} of one {e}.", f"{e.capitalize()} {q}.", f"Tells the {q} of the {e}.",
         f"{an.capitalize()} {e}'s {q}.", f"Looks up the {q} of {an} {e}.", f"Returns {an} {e}'s {q}" + (f" in {unit}." if unit else "."), f"{q.capitalize()} of {an} {e}.",
         f"The {q} that {an} {e} has.", f"Reads the {q} of the {e} from a table."]
    )  # fmt: skip
    if named:
        subject = [f"the {e} {{{slot}}}"]
    elif kind == "object":
        subject = [f"the {{{slot}}}", f"the {{{slot}}}", f"my {{{slot}}}", f"our {{{slot}}}", f"this {{{slot}}}"]
    else:
        subject = [f"{{{slot}}}", f"{{{slot}}}", f"the {e} {{{slot}}}"]
    hows = measure.how.split("|") if measure.how else []
    asks: list[str] = []
    for how in hows:
        asks += rng.sample(ASKS.replace("{h}", how).split("|"), 6)
    if measure.asks:
        asks += measure.asks.split("|") * (1 if hows else 3)
    if rng.random() < 0.5:
        asks += PLAIN.replace("{q}", q).split("|")
    asks = [ask.replace("X", rng.choice(subject)) for ask in asks]
    asks = [ask[0].upper() + ask[1:] if ask[0] != "h" else ask for ask in asks]
    result = rng.choice(["{number}", "{int:1:900}", "{decimal}", "{int:1:90}"])
    results = (
        rng.choice([f"{result} {unit}", f"{result} {unit}", f"about {result} {unit}", result])
        if unit
        else rng.choice([result, "{adjective}", "{int:1:10} of 10"])
    )
    how = rng.choice(hows) if hows else ""
    missing = (
        f"How {how} is it?|Tell me how {how} it is.|How {how} is that?" if how else measure.asks.split("|")[0].replace("X", "it")
    )  # fmt: skip
    if kind != "object":
        of_thing = f"What is the {q} of the {e}?" + (f"|How {how} is the {e}?" if how else "")
        missing = of_thing if named else f"{missing}|{of_thing}"
    follow = f"And {{{slot}}}?|What about {{{slot}}}?" + (f"|And how {how} is {{{slot}}}?" if how else "")
    if kind == "object":
        follow = follow.replace("{", "the {")
    answer = rng.choice([f"The {q} of {{{slot}}} is {{R}}.", f"The {q} is {{R}}.", "It is {R}."])
    made = skill(names, about, f"{key} = {kind}", "|".join(asks), results, answer, {slot: missing}, follow)
    return replace(
        made,
        parts=("lookup", name.replace("_", " "), e),
        kind="" if named else f"measure {number}",
        rivals=tuple(measure.rivals.split()),
    )


def measures(words: w.Words, count: int) -> list[Skill]:
    """``count`` tools that are easily taken for each other: quantities of one thing, or one quantity of several things."""
    rng = words.rng
    if rng.random() < 0.25:
        number = rng.choice(LEARNT)
        return [measure_skill(words, number, thing, True) for thing in {words.noun(): 0 for _ in range(count)}]
    e, kind = words.noun(), rng.choice(["thing", "thing", "object", "object", "code", "title"])
    return [measure_skill(words, number, e, False, kind) for number in rng.sample(LEARNT, count)]
