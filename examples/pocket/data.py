"""The data: seeded synthetic dialogues with and without tools, split into a training and a held-out side.

Everything is generated; no third-party text is used. A dialogue is a plain dictionary
``{"messages": [...], "tools": [...], "skill": "..."}`` in the usual chat format, so that the chat template decides
how it is written down. Two kinds of tools occur: hand-written everyday ones (``skills.py`` and its like) and procedural ones
made from drawn words ("Get the wingspan of a zorple.", ``procedural.py``), which are new in every family.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from . import skills
from . import words as w
from .daily_skills import DAILY
from .home_skills import HOME
from .measures import is_quantity, measure_skill, measures
from .more_skills import MORE
from .offered import (
    SORRY,
    Dialogue,
    Message,
    Request,
    Tool,
)
from .procedural import (
    action_skill,
    lookup_skill,
    procedural,
)
from .rivals import alike, rivals, same, twins
from .skill import Skill
from .work_skills import WORK

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


def polish(rng: random.Random, text: str, fixed: tuple[bool, bool] = (False, False)) -> str:
    """Natural variation of a request: greetings, small letters, no full stop; not where begin or end are ``fixed``."""
    begin, end = fixed
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
        text = text if begin else text[0].lower() + text[1:]
    elif draw < 0.2:
        text = text if end else text.rstrip(".?!")
    elif draw < 0.24 and not end:
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


def made_up(words: w.Words) -> Skill:
    """A skill that is new in every family."""
    return measure_skill(words) if words.strange(0.05) else procedural(words)


def offer(words: w.Words, pool: list[Skill], count: int, procedural_share: float) -> list[Tool]:
    """``count`` tools that a request tells apart, often with confusable neighbours."""
    rng = words.rng
    apart = rivals if words.held_out else same
    chosen: list[Skill] = []
    if procedural_share and count > 1 and words.strange(0.08):
        chosen += measures(words, rng.randint(2, count))
    elif rng.random() < procedural_share and count > 1 and rng.random() < 0.5:
        a, e = words.attribute(), words.noun()
        same_thing = rng.random() < 0.6
        chosen.append(lookup_skill(words, a, e, named=not same_thing))
        if rng.random() < 0.3:
            chosen.append(action_skill(words, None, e))
        while len(chosen) < count:
            neighbour = lookup_skill(words, None, e) if same_thing else lookup_skill(words, a, None, named=True)
            if not any(apart(neighbour, old) for old in chosen):
                chosen.append(neighbour)
    while len(chosen) < count:
        new = made_up(words) if rng.random() < procedural_share else rng.choice(pool)
        known = [old.parts for old in chosen if old.parts]
        if words.strange(0.25) and known:  # the same verb or property for another thing
            kind, does, thing = rng.choice(known)
            make = lookup_skill if kind == "lookup" else action_skill
            new = make(words, None, thing) if rng.random() < 0.5 else make(words, does, None, named=True)
        elif words.strange(0.5) and chosen:  # a tool that does much the same
            near = [one for one in pool if any(rivals(one, old) and not twins(one, old) for old in chosen)]
            new = rng.choice(near) if near else new
        if not any(apart(new, old) for old in chosen):
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
        source = made_up(words) if words.rng.random() < 0.5 else words.rng.choice(pool)
        if not any(rivals(source, t.source) or alike(source, t.source) for t in tools):
            return Tool(words, source).request()[0].text


def near_miss(words: w.Words, tools: list[Tool]) -> str | None:
    """A request that none of ``tools`` can serve although it sounds like one of them: other verb, or other thing."""
    rng = words.rng
    known = [t.source.parts for t in tools if t.source.parts]
    if not known:
        return None
    kind, does, thing = rng.choice(known)
    make = lookup_skill if kind == "lookup" else action_skill
    if is_quantity(does) and words.strange(0.7):
        other = measure_skill(words, None, thing, named=rng.random() < 0.5)
    elif rng.random() < 0.6:
        other = make(words, None, thing, named=rng.random() < 0.5)
    else:
        other = make(words, does, None, named=True)
    _, new_does, new_thing = other.parts
    for tool in tools:
        if rivals(other, tool.source) or same(other, tool.source):
            return None
        texts = " ".join([*tool.source.about, *tool.source.names]).lower()
        if new_does.lower() in texts and new_thing.lower() in texts:
            return None
        if new_does == does and tool.source.parts[:2] == ("lookup", does) and new_thing in texts:
            return None
    return Tool(words, other).request()[0].text


def answer_value(words: w.Words, spoken: str) -> str:
    """How a user gives a value that was asked for."""
    return words.rng.choice(
        [spoken, spoken, spoken + ".", f"{spoken}, please.", f"I mean {spoken}.", f"Take {spoken}.", f"Use {spoken}."]
    )


KINDS = ("call", "two calls", "two tools", "missing", "no tool", "talk")  # what a turn is about


def listed(tools: list[Tool]) -> list[dict[str, Any]]:
    """The tools as a chat template takes them."""
    return [{"type": "function", "function": tool.function} for tool in tools]


def converse(
    words: w.Words,
    pool: list[Skill],
    messages: list[Message],
    tools: list[Tool],
    system: str | None,
    own_name: str | None,
    first: str,
    turns: int,
    short: bool,
) -> None:
    """Append ``turns`` turns to ``messages``; the first one is of the kind ``first``.

    With ``short`` nobody answers when Pocket asks for something.
    """
    rng = words.rng
    last: tuple[Tool, Request] | None = None
    user_name = re.search(r"The user's name is ([^.]+)\.", system or "")
    known = user_name.group(1) if user_name else None
    for turn in range(turns):
        kind = first if turn == 0 else rng.choices(KINDS, (42, 6, 6, 6, 9, 18))[0]
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
            near = near_miss(words, tools) if words.strange(0.5) else None
            messages += [
                {"role": "user", "content": polish(rng, near or outside(words, tools, pool))},
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
                if not short and rng.random() < 0.75:
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
            if a.open_end and not words.held_out:
                one, two, a, b = two, one, b, a
            small = rng.random() < 0.7 and not (b.value_first and not words.held_out)
            begin = b.text[0].lower() + b.text[1:] if small else b.text
            text = rng.choice([a.text.rstrip(".?!") + " and " + begin, a.text + " " + b.text, a.text + " And " + begin, a.text + " Also, " + begin,
                               a.text.rstrip(".?!") + ", then " + begin])  # fmt: skip
            messages.append({"role": "user", "content": text})
            act(messages, [(one, a), (two, b)])
        elif kind in ("call", "two tools"):
            tool = rng.choice(tools)
            request = tool.request()[0]
            fixed = (False, False) if words.held_out else (request.value_first, request.open_end)
            messages.append({"role": "user", "content": polish(rng, request.text, fixed)})
            act(messages, [(tool, request)])
            last = (tool, request)


def dialogue(
    words: w.Words, pool: list[Skill], skill_name: str | None = None, procedural_share: float = 0.6
) -> Dialogue:
    """One dialogue. ``skill_name`` fixes what its first turn is about; otherwise it is drawn."""
    rng = words.rng
    system, own_name = system_prompt(words)
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    first = skill_name or rng.choices(KINDS, (50, 8, 7, 9, 10, 16))[0]
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
    converse(words, pool, messages, tools, system, own_name, first, turns, bool(skill_name))
    return {
        "messages": messages,
        "tools": listed(tools),
        "skill": first,
    }


def family(words: w.Words, pool: list[Skill]) -> list[Dialogue]:
    """Up to eight dialogues with the same system message and tools.

    The tools are the longer part of a dialogue. In a family they are read once, and the same tools are seen with
    requests for each of them, for none of them, and with something missing: what differs is what has to be learnt.
    """
    rng = words.rng
    system, own_name = system_prompt(words)
    bare = rng.random() < 0.07
    tools = [] if bare else offer(words, pool, rng.choices((1, 2, 3, 4), (14, 24, 22, 40))[0], 0.7)
    offered = listed(tools)
    dialogues: list[Dialogue] = []
    for _ in range(rng.randint(4, 8) if tools else rng.randint(2, 6)):
        shares = (38, 8, 18 if len(tools) > 1 else 0, 14, 18, 4) if tools else (0, 0, 0, 0, 15, 85)
        kind = rng.choices(KINDS, shares)[0]
        messages: list[Message] = [{"role": "system", "content": system}] if system else []
        turns = rng.choices((1, 2, 3), (74, 21, 5))[0]
        converse(words, pool, messages, tools, system, own_name, kind, turns, False)
        calls = [index for index, message in enumerate(messages) if message.get("tool_calls")]
        if calls and rng.random() < 0.7:  # what follows the last call is the easier part, and there is enough of it
            messages = messages[: calls[-1] + 1]
        dialogues.append({"messages": messages, "tools": offered, "skill": kind})
    return dialogues


def training_families(seed: int, pieces: Sequence[str] = ()) -> Iterator[list[Dialogue]]:
    """An endless stream of training families. Of ``pieces``, if there are any, some of the unseen words are made."""
    words = w.Words(random.Random(seed), pieces=pieces)
    pool = skills.TRAIN + MORE + DAILY + HOME + WORK + 3 * skills.TRAIN[:1]  # the weather is what everybody tries first
    while True:
        yield family(words, pool)


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
                "tools": listed(tools),
                "skill": "follow",
            }
