"""Word pools, made-up names and the train / held-out split.

The split is decided per word, before any dialogue exists: a word belongs to the held-out side when
``crc32(word) % 6 == 0``. Training dialogues only draw words from the training side. Evaluation dialogues draw the
words that matter (names, nouns, verbs, attributes) from the held-out side, so a right answer there cannot be
remembered: it has to be copied from the prompt.

What is drawn obeys the split. What is written by hand does not ask: ready sentences, descriptions, the values of enums,
colors and the like hold some words of the held-out side, such as "bike" in the task "fix the bike" and "tall".
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

COLORS = "red blue green yellow white black orange purple pink brown grey silver gold violet".split()
LANGUAGES = (
    "French German Spanish Italian Dutch Polish Greek Turkish Japanese Korean Danish Swedish Norwegian Finnish "
    "Portuguese Russian Arabic Hindi Latin English Welsh Irish Czech Thai"
).split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
CURRENCIES = "euro dollar pound yen franc krona peso rupee won".split()
CURRENCY_CODES = "EUR USD GBP JPY CHF SEK NOK DKK PLN INR CAD AUD".split()
ROOMS = "kitchen bedroom bathroom garage garden hall office attic cellar balcony nursery studio lounge pantry".split()
SKIES = "rain sun snow fog wind clouds storm hail showers thunder drizzle mist frost haze".split()
SKY_ADJECTIVES = "sunny rainy cloudy windy snowy foggy stormy clear dry wet icy misty".split()

CITIES = (
    "Paris|Oslo|London|Rome|Madrid|Berlin|Vienna|Lisbon|Dublin|Athens|Prague|Warsaw|Helsinki|Stockholm|Copenhagen|"
    "Budapest|Brussels|Amsterdam|Zurich|Geneva|Milan|Naples|Turin|Venice|Munich|Hamburg|Cologne|Lyon|Nice|Porto|"
    "Seville|Valencia|Barcelona|Tokyo|Kyoto|Osaka|Seoul|Beijing|Shanghai|Delhi|Mumbai|Lagos|Cairo|Nairobi|Accra|"
    "Tunis|Lima|Quito|Bogota|Santiago|Havana|Toronto|Montreal|Boston|Chicago|Denver|Dallas|Seattle|Miami|Austin|"
    "New York|San Diego|Los Angeles|Cape Town|Hong Kong|Tel Aviv|Buenos Aires|Sydney|Perth|Auckland|Bergen|Malmo|"
    "Ghent|Bruges|Leeds|York|Bristol|Cardiff|Glasgow|Belfast|Cork|Galway|Riga|Tallinn|Vilnius|Sofia|Belgrade|"
    "Zagreb|Split|Izmir|Ankara|Istanbul|Dubai|Doha|Manila|Hanoi|Bangkok|Jakarta|Singapore|Lahore|Dhaka|Kabul|"
    "Tampere|Turku|Basel|Bern|Graz|Linz|Salzburg|Krakow|Gdansk|Brno|Pisa|Bologna|Genoa|Palermo|Bilbao|Malaga"
).split("|")
PEOPLE = (
    "Ana Tom Maria John Lena Paul Sara Max Emma Noah Mia Ben Clara Hugo Ivan Nora Omar Lily Jack Kate Leo Rosa Sam "
    "Tina Viktor Wendy Yusuf Zoe Adam Bella Carl Diana Erik Fiona George Hanna Igor Julia Karim Laura Marco Nina Oscar "
    "Petra Quinn Robert Sofia Thomas Ursula Vera Walter Xenia Yara Alice Bruno Cora David Elena Felix Greta Henry Irene "
    "Jonas Kira Lukas Martha Nils Olga Peter Rita Simon Theo Uma Vince Willa Agnes Boris Chloe Dora Edgar Frida"
).split()
NOUNS = (
    "apple bag ball banana basket bed bell bench bike bird boat book bottle bowl box bread brick bridge brush bucket "
    "bus button cable cake camera candle card carpet cart castle cat chair chest church clock cloud coat coin comb "
    "cow crown cup curtain desk dog doll door dress drum duck engine farm fence field film fish flag flower forest "
    "fork fountain fox fridge frog gate ghost glass glove goat guitar hammer harbor hat heater helmet hill horse "
    "hospital hotel house island jacket jar kettle key kite knife ladder lake lamp lantern leaf lemon letter library "
    "lion lock machine magazine map market mask medal mirror monkey moon motor mountain mouse museum needle nest net "
    "onion oven owl package painting palace pan paper park pear pen pencil phone piano picture pillow pipe plane "
    "planet plant plate pocket pool port pot potato printer puppet queen rabbit radio rail ring river road robot rocket "
    "roof rope rose rug sail sandwich school scissors screen shelf shell ship shirt shoe shop shower sink skirt "
    "sled sock sofa song soup spoon stage stamp star station statue stone store stove street suitcase sword table "
    "tank teapot temple tent theater ticket tiger tower town toy tractor train tree truck tunnel umbrella valley van "
    "vase village violin wagon wall wallet watch wheel whistle window wolf zebra airport artist author bakery band "
    "bank beach canal cave cinema clinic college company country course desert doctor factory festival gallery garage "
    "player team teacher student nurse pilot farmer singer dancer baker painter writer customer product project server "
    "account recipe dish drink wine cheese flight hero dragon giant comet crater meadow canyon glacier volcano"
).split()
ATTRIBUTES = (
    "age height weight price color size speed length width depth owner address name title status location "
    "capacity temperature population area volume power rating score rank level distance value cost weather language "
    "origin history material shape taste smell sound brand model maker birthday salary job nickname motto symbol "
    "schedule menu season altitude pressure humidity brightness strength texture flavor range budget deadline "
    "leader founder author winner captain code password balance salinity density luck mood health energy "
    "stock supply demand fee tax discount warranty version format category genre theme style diet habitat lifespan "
    "wingspan coverage radius voltage signal charge condition quality grade phase position order number"
).split()
VERBS = (
    "paint clean open close lock unlock start stop move lift drop wash fix repair build break buy sell rent book order "
    "cancel send ship pack fill empty heat cool dry cut fold hang hide show find call test check measure count mark "
    "load unload park wake feed water plant pick bake cook boil fry mix stir pour serve print copy scan save delete "
    "share post upload rename sort merge split freeze melt polish sweep wrap decorate design draw carve charge "
    "launch land pause resume restart reset update install remove replace rotate tilt spin push pull raise lower "
    "invite greet hire train reserve borrow return collect deliver store label assign approve reject archive"
).split()
ADJECTIVES = (
    "old new big small red blue quiet happy lazy quick bright dark warm cold soft hard sweet sour clean dirty heavy "
    "light round flat deep tall short young brave calm clever early late fresh golden green grey kind little long "
    "lost lucky magic open proud rich silent silver simple slow strong tiny wild wise broken hidden secret"
).split()
FOODS = (
    "pizza pasta soup salad bread rice sushi curry tacos pancakes cake pie stew noodles eggs cheese burgers dumplings "
    "ramen paella lasagna waffles chili beans fish chicken tofu mushrooms"
).split()
TASKS = (
    "buy milk|call Ana|feed the cat|water the plants|clean the kitchen|pay the rent|write a letter|fix the bike|"
    "wash the car|read the report|book a table|send the parcel|take out the trash|walk the dog|learn the song|"
    "paint the fence|bake a cake|visit grandma|pack the bag|check the oven|print the tickets|return the book|"
    "buy two lemons|order new shoes|charge the phone|empty the bin|sweep the floor|call the bank|renew the passport|"
    "cut the grass|sharpen the knives|mend the coat|sort the mail|cook dinner|plan the trip|buy bread and eggs"
).split("|")
SENTENCES = (
    "good morning|see you soon|I am late|where is the station|the cat is black|I like tea|thank you very much|"
    "happy birthday|the meeting is at noon|we need more paper|the train is late|I love you|open the door please|"
    "how are you|it is cold today|the soup is hot|my name is Tom|the shop is closed|we won the game|call me back|"
    "dinner is ready|the car is blue|I lost my key|good night|welcome home|the sky is clear|bring a coat|"
    "the report is done|see you on Monday|I will be there at six|the dog sleeps|a nice day|lunch at one|"
    "the house is old|please wait here|two tickets please|I do not know|the water is warm|no problem at all"
).split("|")
UNITS = (
    "meters|kilometers|miles|feet|kilograms|grams|pounds|liters|hours|minutes|days|years|degrees|points|percent|euros"
)
UNIT_LIST = UNITS.split("|")

# The short words of which everyday messages are made.
SMALL_WORDS = (
    "I you we she he it they the a the a my your our is are was will be not at in on to for and of with today tomorrow now "
    "here there late soon again please can have need want come bring see meet call back home one two some more very so all "
    "this that from about before after do did"
).split()
ACCENTS = {"a": "áàäâãå", "e": "éèëê", "i": "íîï", "o": "óöôõø", "u": "úüû", "n": "ñ", "c": "ç", "s": "š", "z": "ž"}

ONSETS = "b br c ch d dr f fl g gr h j k kl l m n p pl qu r s sh sk st t th tr v w y z".split()
VOWELS = "a e i o u ai ea ee ia io oo ou".split()
CODAS = ["", "", "", "", "l", "m", "n", "r", "s", "t", "x", "ck", "nd", "rn", "sk", "th", "lt", "ng", "p", "d"]


def is_held_out(word: str) -> bool:
    """Whether ``word`` belongs to the held-out side of the split (about one word in six)."""
    return zlib.crc32(word.lower().encode()) % 6 == 0


class Words:
    """Draws words from one side of the split with a seeded random generator."""

    def __init__(self, rng: random.Random, held_out: bool = False, pieces: Sequence[str] = ()) -> None:
        self.rng = rng
        self.held_out = held_out
        self.pieces = pieces  # of a tokenizer, for words in which each of them has to be copied
        self._pools: dict[int, Sequence[str]] = {}
        self._known: list[str] = []

    def of(self, pool: Sequence[str]) -> str:
        """One word of ``pool`` from this side of the split."""
        side = self._pools.get(id(pool))
        if side is None:
            side = [w for w in pool if is_held_out(w) == self.held_out] or pool
            self._pools[id(pool)] = side
        return self.rng.choice(side)

    def made_up(self, low: int = 2, high: int = 3) -> str:
        """A lower-case word that exists in no dictionary, such as ``brilo`` or ``staxen``."""
        rng = self.rng
        while True:
            word = ""
            for _ in range(rng.randint(low, high)):
                word += rng.choice(ONSETS) + rng.choice(VOWELS[: rng.choice((5, 5, 12))])
            word += rng.choice(CODAS)
            if len(word) >= 4 and is_held_out(word) == self.held_out:
                return word

    def spliced(self) -> str:
        """A word cut together from pieces of real words, such as ``umbrenter``; now and then just letters.

        A tokenizer knows many real words as one token and cuts words that it has not seen into all kinds of pieces.
        With spliced words every piece occurs beside every other in training, so that copying does not depend on them.
        """
        rng = self.rng
        if not self._known:
            pools = (
                NOUNS,
                VERBS,
                ADJECTIVES,
                ATTRIBUTES,
                FOODS,
                [c.lower() for c in CITIES if " " not in c],
                [p.lower() for p in PEOPLE],
            )
            self._known = [word for pool in pools for word in pool if is_held_out(word) == self.held_out]
        while True:
            if rng.random() < 0.12:
                word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 7)))
            else:
                first, last = rng.choice(self._known), rng.choice(self._known)
                word = first[: rng.randint(1, 5)] + last[-rng.randint(2, 5) :]
                if rng.random() < 0.25:
                    middle = rng.choice(self._known)
                    cut = rng.randrange(len(middle) - 1)
                    word = (
                        word[: rng.randint(1, 3)] + middle[cut : cut + rng.randint(1, 3)] + word[-rng.randint(2, 4) :]
                    )
            if is_held_out(word) == self.held_out:
                return word

    def glued(self) -> str:
        """One to three of the tokenizer's pieces as one word, such as ``owncti``.

        A piece that never stands in a call or an answer is never learnt as something to write: the output matrix is the
        embedding, and training pushes whatever is not wanted away. Of the pieces of letters every tenth was like
        that, and "town" came out as "t" and something else.
        """
        while True:
            drawn = [self.rng.choice(self.pieces) for _ in range(self.rng.choice((1, 2, 2, 3)))]
            word = "".join(drawn) if self.rng.random() < 0.1 else "".join(drawn).lower()
            if len(word) > 1 and is_held_out(word) == self.held_out:
                return word

    def accented(self, text: str) -> str:
        """``text``, seldom with letters that English does not have; only in training."""
        if not self.strange(0.06):
            return text
        put = {letter: self.rng.choice(others) for letter, others in ACCENTS.items() if self.rng.random() < 0.4}
        return "".join(put.get(letter, letter) for letter in text)

    def unseen(self) -> str:
        """A word that the model cannot know."""
        if self.pieces and self.rng.random() < 0.4:
            return self.glued()
        return self.spliced() if self.rng.random() < 0.7 else self.made_up(1, 3)

    def strange(self, share: float) -> bool:
        """Whether to put an unseen word in the place of a real one; only in training, with the given share."""
        return not self.held_out and self.rng.random() < share

    def phrase(self) -> str:
        """One to four words in small or capital letters, real and unseen ones mixed: ``old kalter``, ``The Red Fox``."""
        rng = self.rng
        count = rng.choices((1, 2, 3, 4), (50, 33, 12, 5))[0]
        drawn = [
            self.unseen() if rng.random() < 0.5 else self.of(rng.choice((ADJECTIVES, NOUNS, NOUNS, VERBS, FOODS)))
            for _ in range(count)
        ]
        if rng.random() < 0.06:
            drawn[0] = rng.choice([drawn[0] + "'s", drawn[0] + "-" + self.unseen(), "o'" + drawn[0], drawn[0] + " &"])
        drawn[-1] = self.accented(drawn[-1])
        style = rng.random()
        if style < 0.4:
            return " ".join(drawn)
        if style < 0.9:
            return ("The " if count > 1 and rng.random() < 0.1 else "") + " ".join(word.capitalize() for word in drawn)
        return " ".join(drawn).upper() if style < 0.95 else " ".join(drawn).capitalize()

    def noun(self) -> str:
        """An everyday noun, sometimes a made-up one."""
        if self.strange(0.4):
            return self.unseen()
        return self.made_up() if self.rng.random() < 0.25 else self.of(NOUNS)

    def object_name(self) -> str:
        """What one calls a thing that has no name: ``lamp``, ``old lamp``, ``red kalter box``."""
        rng = self.rng
        before = [self.of(ADJECTIVES) if rng.random() < 0.6 else self.unseen()] if rng.random() < 0.4 else []
        return " ".join([*before, *([self.noun()] if rng.random() < 0.2 else []), self.noun()])

    def attribute(self) -> str:
        """Something a thing can have: ``height``, ``price`` or a made-up property."""
        if self.strange(0.35):
            return self.unseen()
        draw = self.rng.random()
        if draw < 0.2:
            return self.made_up() + self.rng.choice(["", " level", " number", " rate", " index"])
        if draw < 0.3:
            return self.of(ADJECTIVES) + " " + self.of(ATTRIBUTES)
        return self.of(ATTRIBUTES)

    def verb(self) -> str:
        """Something one can do with a thing, sometimes a made-up verb."""
        if self.strange(0.35):
            return self.unseen()
        return self.made_up(1, 2) if self.rng.random() < 0.15 else self.of(VERBS)

    def city(self) -> str:
        """A real city or a made-up one."""
        if self.strange(0.3):
            name = " ".join(self.unseen().capitalize() for _ in range(self.rng.choice((1, 1, 1, 2))))
            return self.accented(name)
        return self.of(CITIES) if self.rng.random() < 0.55 else self.made_up().capitalize()

    def person(self) -> str:
        """A first name, a made-up name or a full name."""
        if self.strange(0.25):
            return self.accented(self.unseen().capitalize())
        first = self.of(PEOPLE) if self.rng.random() < 0.6 else self.made_up(1, 3).capitalize()
        return first + " " + self.made_up(1, 3).capitalize() if self.rng.random() < 0.15 else first

    def code(self) -> str:
        """An identifier such as ``KX-4071`` or ``b82f``."""
        rng = self.rng
        letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(rng.randint(1, 3)))
        digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(2, 5)))
        return rng.choice([letters + "-" + digits, letters + digits, digits, letters.lower() + digits, "#" + digits])

    def thing_name(self) -> str:
        """A proper name for any thing: ``Brilo``, ``Red Fox``, ``Oslo``, ``KX-40`` ..."""
        if self.strange(0.45):
            return self.phrase()
        draw = self.rng.random()
        if draw < 0.45:
            return self.made_up(1, 3).capitalize()
        if draw < 0.6:
            return self.of(ADJECTIVES).capitalize() + " " + self.of(NOUNS).capitalize()
        if draw < 0.7:
            return self.of(CITIES)
        if draw < 0.8:
            return self.person()
        if draw < 0.9:
            return self.code()
        return self.of(NOUNS)

    def text(self) -> str:
        """A short free text to be copied as it is."""
        if self.strange(0.3):
            return self.message()
        if self.strange(0.25):
            return " ".join(
                self.noun() if self.rng.random() < 0.6 else self.of(ADJECTIVES) for _ in range(self.rng.randint(1, 5))
            )
        draw = self.rng.random()
        if draw < 0.35:
            return self.of(SENTENCES)
        if draw < 0.45:  # written with care: "Good morning!"
            text = self.of(SENTENCES)
            return text[0].upper() + text[1:] + self.rng.choice([".", ".", "!", "?", ""])
        if draw < 0.6:
            return self.of(TASKS)
        if draw < 0.8:
            return f"the {self.of(ADJECTIVES)} {self.noun()} is {self.rng.choice(['here', 'gone', 'ready', 'lost', 'back'])}"
        return " ".join(self.noun() for _ in range(self.rng.randint(1, 4)))

    def full_name(self) -> str:
        """A name of one to three words: ``Vera Hatlin``, ``J. Brot``, ``Ana de Colm``."""
        rng = self.rng
        first = self.of(PEOPLE) if rng.random() < 0.5 else self.unseen().capitalize()
        if rng.random() < 0.15:
            return self.accented(first)
        last = self.accented(self.unseen().capitalize())
        between = rng.choice(["de ", "van ", "Mc", "O'", "J. "]) if rng.random() < 0.15 else ""
        return f"{first[0]}. {last}" if rng.random() < 0.06 else f"{first} {between}{last}"

    def plural(self) -> str:
        """Several of a thing, as one says it after a number: ``eggs``, ``red lamps``, ``bags of rice``."""
        draw, word = self.rng.random(), self.noun()
        many = word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")
        if draw < 0.6:
            return many
        return f"{self.of(ADJECTIVES)} {many}" if draw < 0.8 else f"{many} of {self.mass()}" if draw < 0.9 else word

    def mass(self) -> str:
        """A stuff that is not counted, or food: ``rice``, ``brown sugar``."""
        drawn = self.of(FOODS) if self.rng.random() < 0.3 else self.noun()
        return f"{self.of(ADJECTIVES)} {drawn}" if self.rng.random() < 0.2 else drawn

    def label(self) -> str:
        """A short sign: ``B``, ``7``, ``C12``, ``north``."""
        rng, draw = self.rng, self.rng.random()
        letter = rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        if draw < 0.65:
            return rng.choice(
                [
                    letter,
                    letter,
                    letter + str(rng.randint(1, 40)),
                    str(rng.randint(2, 400)) + letter,
                    f"{letter}-{rng.randint(1, 99)}",
                ]
            )
        return rng.choice(
            ["north", "south", "east", "west", self.unseen(), self.unseen().capitalize(), self.of(COLORS)]
        )

    def message(self) -> str:
        """A sentence of everyday words in any order, to be copied from the first to the last word."""
        rng = self.rng
        if rng.random() < 0.15:
            return self.of(SENTENCES)
        drawn = [self.of(SMALL_WORDS) if rng.random() < 0.62 else rng.choice([self.noun, self.noun, self.person, self.unseen])()
                 for _ in range(rng.randint(2, 9))]  # fmt: skip
        if rng.random() < 0.15:
            drawn[rng.randrange(len(drawn) - 1)] += ","
        if rng.random() < 0.1:
            drawn[0] = rng.choice(["I'm", "don't", "it's", "we'll", "can't", f"{self.person()}'s"])
        text = " ".join(drawn)
        return text[0].upper() + text[1:] if rng.random() < 0.4 else text

    def headline(self) -> str:
        """A title: ``The Old Lamp``, ``Printer is broken``, ``Moon's Garden``, ``house of the fox``."""
        rng, draw = self.rng, self.rng.random()
        one, two = self.noun(), self.noun()
        if draw < 0.25:
            return self.phrase()
        if draw < 0.45:
            return f"{one} {rng.choice(['is', 'was', 'does not', 'and', 'without', 'has no'])} {rng.choice([two, self.of(ADJECTIVES), self.verb()])}".capitalize()
        if draw < 0.6:
            return f"{one.capitalize()}'s {two.capitalize()}"
        if draw < 0.8:
            return f"{rng.choice(['The ', 'A ', ''])}{one.capitalize()} {rng.choice(['of the', 'of', 'in the', 'and the', 'to'])} {two.capitalize()}"
        return rng.choice(
            [
                f"the {self.of(ADJECTIVES)} {one}",
                f"{self.verb()} {rng.choice(['the', 'a', 'two'])} {one}",
                f"{one} {rng.choice(['of', 'for'])} {two}",
                f"{self.verb().capitalize()} {one}",
            ]
        )


def names_of(words: Words, *parts: str) -> str:
    """Function names made of words, in different styles."""
    rng = words.rng
    clean = [p.replace(" ", "_").lower() for p in parts]
    snake = "_".join(clean)
    camel = clean[0] + "".join(x.capitalize() for p in clean[1:] for x in p.split("_"))
    return rng.choice([snake, snake, snake, camel, clean[-1] if rng.random() < 0.4 else snake])
