"""Skills from many sentence frames: "When does the next lantern melt from Brilo?", "Give the old fox 40 grams."

The skills of ``procedural.py`` are many in their words and few in their sentences. Here the sentences are many, each with
words that are drawn anew: where a value stands in a sentence, and where it ends, has to be read from the sentence and not
from a habit. ``<n>``, ``<m>`` and ``<o>`` are nouns, ``<v>`` is a verb, ``<j>`` and ``<k>`` are adjectives, ``<a>`` is an
attribute, ``<u>`` and ``<w>`` are units; in braces stand the slots, as in ``skills.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from . import words as w
from .skill import Skill, skill


@dataclass(frozen=True)
class Frame:
    """One tool with open words. The texts are those of :func:`skill.skill`."""

    names: str
    about: str
    params: str
    asks: str
    results: str
    answer: str
    missing: str = ""  # requests that lack the first parameter
    follow: str = ""
    like: str = ""  # hand-written tools that could serve the same requests
    kind: str = ""  # tools of one kind are not offered together


FRAMES = [
    # ---------------------------------------------------------------------------------------------- questions
    Frame("next_<n> <n>_times when_<n>_<v>s <n>_schedule", "When the next <n> <v>s from a <m>.|Time of the next <n> at a <m>.|Tells when a <n> will <v> at the <m>.",
          "<m>|place|where|at = thing",
          "When does the next <n> <v> from {<m>}?|When is the next <n> from {<m>}?|Next <n> at {<m>}?|When will a <n> <v> at {<m>}?|At what time does the first <n> <v> from the <m> {<m>}?|"
          "I am at {<m>}. When does the next <n> <v>?",
          "{time}|in {int:2:50} minutes|at {time}|{weekday} at {time}", "The next <n>: {R}.", "When does the next <n> <v>?|When is the next <n>?", "And from {<m>}?|And at {<m>}?", like="movie_times"),
    Frame("<n>_count how_many_<n>s <n>s_of count_<n>s", "How many <n>s of a <m> there are.|The number of <n>s that a <m> has left.|Counts the <n>s of a <m> that we have.",
          "<m>|item|name|which = object",
          "How many <n>s of the {<m>} are there?|How many <n>s of {<m>} do we have?|How many <n>s of the {<m>} are left?|Count the <n>s of the {<m>} that we have.|How many <n>s did the {<m>} get?|"
          "Do we have enough <n>s of the {<m>}?|How many <n>s of {<m>} did we <v> this week?",
          "{int:0:900}", "There are {R} <n>s.", "How many <n>s do we have?|How many <n>s are left?", "And of the {<m>}?|And the {<m>}?"),
    Frame("<v>_time how_long_<v> <n>_duration time_to_<v>", "How long a <n> <v>s.|How many minutes it takes to <v> a <n>.|The time that a <n> needs.",
          "<n>|name|what = object",
          "How long does the {<n>} <v>?|How long does it take to <v> the {<n>}?|How many minutes does {<n>} <v>?|How long must I <v> a {<n>}?|For how long should the {<n>} <v>?",
          "{int:2:90} minutes|{int:2:9} hours|about {int:10:50} minutes", "It takes {R}.", "How long does it <v>?|How long does it take?", "And the {<n>}?"),
    Frame("<m>_<n>s <n>s_of_<m> list_<n>s get_<n>s", "List the <n>s of a <m>.|All <n>s that belong to a <m>.|Returns the <n>s on a <m>.",
          "<m>|name|title|of = title",
          "Which <n>s are on the <m> {<m>}?|Which <n>s belong to {<m>}?|What <n>s does the <m> {<m>} have?|List the <n>s of {<m>}.|Show me all <n>s in the <m> {<m>}.|What <n>s are there in {<m>}?|"
          "Give me the <n>s of the <m> {<m>}, please.",
          '["{Name}", "{Name}"]|["{noun}", "{noun}", "{noun}"]|{Name}, {Name} and {Name}', "I found {R}.", "Which <n>s are there?|List the <n>s of the <m>.", "And {<m>}?|And on {<m>}?"),
    Frame("<n>_need needed_<n> how_much_<n> <n>_use", "How much <n> a <m> needs.|The amount of <n> for a <m> in <u>.|Tells how much <n> a <m> uses.",
          "<m>|what|name|type = object",
          "How much <n> does the {<m>} need?|How much <n> do I need for {<m>}?|How much <n> is in the {<m>}?|How much <n> does a {<m>} use?|Is there much <n> in the {<m>}?|What amount of <n> goes into the {<m>}?",
          "{int:1:900} <u>|{decimal} <u>|none", "It is {R}.", "How much <n> is needed?|How much <n> do I need?", "And the {<m>}?"),
    Frame("is_<j> check_<n> <n>_is_<j> test_<j>", "Whether a <n> is <j>.|Checks if the <n> is <j> now.|Tells whether the <n> is still <j>.",
          "<n>|name|which = thing",
          "Is {<n>} still <j>?|Is the <n> {<n>} <j> now?|Can you see if {<n>} is <j>?|Is {<n>} already <j>?|Has {<n>} become <j>?|Please test whether the <n> {<n>} is <j>.|Are you sure that {<n>} is <j>?",
          "yes|no|true|false", "{YES}{<n>} is{NOT} <j>.", "Is it <j>?|Is the <n> still <j>?", "And {<n>}?"),
    Frame("who_<v>s <v>er_of get_<v>er <n>_<v>er", "Who <v>s a <n>.|Returns the person who <v>s the <n>.|Finds out who has to <v> a <n>.",
          "<n>|name|what = object",
          "Who <v>s the {<n>}?|Who will <v> {<n>}?|Who has to <v> the {<n>} today?|Tell me who <v>s the {<n>}.|Whose turn is it to <v> {<n>}?",
          "{person}|{person} and {person}|nobody", "{R} does it.", "Who <v>s it?", "And the {<n>}?"),
    Frame("where_to_<v> <v>_place <n>_places find_<n>", "Where one can <v> a <n>.|Finds a place to <v> the <n>.|Tells where people <v> <n>s.",
          "<n>|what|item = object; city?|near?|town? = city",
          "Where can I <v> a {<n>}?|Where do people <v> {<n>}?|I want to <v> the {<n>}. Where can I do that?|Find me a place to <v> a {<n>}.|Where is the best place to <v> {<n>}?",
          "{Name}|at the {noun}|in {city}", "You can <v> it here: {R}.", "Where can I <v> it?"),
    Frame("<u>_to_<w> convert_<u> to_<w> <w>_from_<u>", "Convert <u> to <w>.|Turns <u> into <w>.|How many <w> some <u> are.",
          "<u>|value|amount|x|n = N",
          "How much is {<u>} <u> in <w>?|What is {<u>} <u> in <w>?|Convert {<u>} <u> to <w>.|How many <w> are {<u>} <u>?|{<u>} <u> in <w>?|I have {<u>} <u>. How many <w> is that?|Turn {<u>} <u> into <w>.",
          "{number}|{decimal}|{decimal} <w>", "It is {R}.", "Convert some <u> to <w>.|How many <w> is that?", "And {<u>} <u>?|And {<u>}?", like="convert_unit convert_currency"),
    Frame("<a>_between get_<a> <a>_of_way route_<a>", "The <a> between two places.|The <a> of the way from one <n> to another.|Get the <a> from a start to an end.",
          "from|start|source|a|origin = thing; to|end|target|b|destination = thing",
          "What is the <a> from {from} to {to}?|What is the <a> between {from} and {to}?|Tell me the <a> from {from} to {to}.|I go from {from} to {to}. What is the <a>?|<a> from {from} to {to}?|"
          "How is the <a> when I go from {from} to {to}?|What is the <a> to {to} from {from}?",
          "{number}|{int:1:900} <u>|{decimal}", "From {from} to {to} it is {R}.", "What is the <a> to {to}?", like="distance find_flight"),
    Frame("ticket_<a> <n>_fare <n>_price_between fare", "What a <n> from one place to another costs.|The fare of a <n> between two cities.|Price of a <n> to a city.",
          "from|start|origin = city; to|end|destination = city; people|count|persons = int:2:9",
          "How much is a <n> from {from} to {to} for {people} people?|What does a <n> from {from} to {to} cost for {people} persons?|Price of a <n> to {to} from {from} for {people}?|"
          "We are {people} people. What is a <n> from {from} to {to}?",
          "{int:10:900} euro|{decimal}|{int:10:900}", "It costs {R}.", "How much is a <n> to {to} for {people} people?", like="find_flight distance"),
    Frame("which_is_<j>er compare_<a> <j>er compare", "Which of two things is <j>er.|Compares the <a> of two <n>s.|Tells which of two <n>s has more <a>.",
          "a|first|one|left|x = thing; b|second|other|right|y = thing",
          "Which is <j>er, {a} or {b}?|Is {a} <j>er than {b}?|Compare {a} and {b}.|Which one is <j>er: {a} or {b}?|Who has more <a>, {a} or {b}?|Compare {a} with {b}, please.|Tell me if {a} is <j>er than {b}.",
          "{a}|{b}|{Name}", "It is {R}.", "Which is <j>er than {b}?|Compare something with {b}."),
    Frame("<n>_of_day when_is_<n> <n>_date get_<n>", "When the <n> of a person is.|The date of somebody's <n>.|Looks up when someone has the <n>.",
          "person|name|who|user|employee = person",
          "When is {person}'s <n>?|When is the <n> of {person}?|When does {person} have the <n>?|Do you know {person}'s <n>?|On what day is {person}'s <n>?|Tell me when {person}'s <n> is.",
          "{day}|{weekday}|on {day}", "{person}'s <n> is {R}.", "When is the <n>?|On what day is the <n>?", "And {person}'s?|And {person}?", like="find_person find_contact next_holiday"),
    Frame("since_when <n>_<v>ed last_<v> <v>_date", "When a <n> was <v>ed.|The last time that somebody <v>ed a <n>.|Returns the day on which the <n> <v>ed.",
          "<n>|name|which|id = thing",
          "When was {<n>} <v>ed?|When did we <v> {<n>} the last time?|Since when does the <n> {<n>} <v>?|On which day was the <n> {<n>} <v>ed?|When did somebody <v> {<n>}?",
          "{day}|on {day}|in {int:1900:2030}|never", "It was {R}.", "When was it <v>ed?|When was the <n> <v>ed?", "And {<n>}?"),
    Frame("<n>_for best_<n> choose_<n> suggest_<n>", "Which <n> is best for a <m>.|Suggests a <n> for something.|Choose the right <n> for a <m>.",
          "<m>|purpose|for_what|use = object",
          "Which <n> should I take for the {<m>}?|What <n> is good for a {<m>}?|Suggest a <n> for {<m>}.|I need a <n> for the {<m>}. Which one?|Which <n> goes with the {<m>}?|Do you know a good <n> for {<m>}?",
          "{Name}|the {adjective} one|{adjective} {noun}", "Take {R}.", "Which <n> should I take?|Suggest a <n>.", "And for the {<m>}?"),
    Frame("<n>_status status_of_<n> <n>_info get_<n>_state", "The state of a <n>.|How a <n> with a number is doing.|Looks up a <n> by its code.",
          "<n>|number|id|code|<n>_number|key = code",
          "What about <n> {<n>}?|Status of <n> {<n>}?|How is <n> {<n>} going?|What happened to <n> {<n>}?|What is in <n> {<n>}?|Show me <n> {<n>}.|Open <n> number {<n>}.|Is there news about <n> {<n>}?",
          "{adjective}|open|closed|{adjective} and {adjective}|on the way", "The <n> is {R}.", "What about my <n>?|How is my <n> going?", "And <n> {<n>}?", like="track_package"),
    Frame("estimate_<n>s <n>s_needed mix_<m> total_<n>s", "How many <n>s one gets from <m>s and <o>s.|Estimates the <n>s for some <m>s and <o>s.",
          "<m>s|<m>_count|a|first = int:2:90; <o>s|<o>_count|b|second = int:2:90",
          "I have {<m>s} <m>s and {<o>s} <o>s. How many <n>s is that?|How many <n>s are {<m>s} <m>s and {<o>s} <o>s?|We have {<m>s} <m>s and {<o>s} <o>s. Estimate the <n>s.|"
          "How many <n>s do {<m>s} <m>s with {<o>s} <o>s make?",
          "{number}|{int:2:500}", "It is {R}.", "I have {<o>s} <o>s. How many <n>s is that?"),
    Frame("<a>_in <n>_<a> read_<a> <a>_now", "The <a> in a room.|Measures the <a> of the <n> in a room.|Current <a> at a place of the house.",
          "room|where|place|location = room",
          "What is the <a> in the {room}?|How is the <a> in the {room}?|How <j> is it in the {room}?|Is it <j> in the {room}?|Read the <a> in the {room}.|Tell me the <a> of the {room}.|{room} <a>?",
          "{number}|{int:0:99} percent|{decimal}|{adjective}", "In the {room} it is {R}.", "What is the <a>?|Read the <a>.", "And in the {room}?|And the {room}?", like="read_sensor air_quality set_heating"),
    Frame("<n>_search find_<n>s <n>s_by search_<n>s", "Find <n>s by a <m>.|Search <n>s of a <m>.|Looks for <n>s that are like a <m>.",
          "<m>|query|text|about = topic; limit?|max?|count? = int:2:20",
          "Find <n>s about {<m>}.|Search the <n>s for {<m>}.|Are there <n>s by {<m>}?|Show <n>s like {<m>}.|I am looking for <n>s about {<m>}.|Which <n>s are about {<m>}?|Look for <n>s with {<m>}.|Do we have <n>s about {<m>}?",
          '["{Name}", "{Name}"]|{Name}|{Name} and {Name}', "I found {R}.", "Find a <n>.|Search the <n>s.", "And about {<m>}?", like="search find_book news"),
    Frame("<n>_rule may_i_<v> allowed_to_<v> <v>_rules", "Whether one may <v> a <n> at a place.|Checks if it is allowed to <v> a <n>.",
          "<n>|what|item = object; <m>|place|where = thing",
          "May I <v> the {<n>} in {<m>}?|Is it allowed to <v> a {<n>} at {<m>}?|Can I <v> my {<n>} in the <m> {<m>}?|Am I allowed to <v> {<n>} in {<m>}?",
          "yes|no|{adjective}", "The answer is: {R}.", "May I <v> it in {<m>}?"),
    Frame("<a>_on <n>_<a> daily_<a> <a>_for_day", "The <a> of a <n> on a day.|What the <a> of a <n> was on some date.",
          "<n>|name|which = thing; day|date|when = day",
          "What was the <a> of {<n>} on {day}?|How was the <a> of the <n> {<n>} on {day}?|Give me {<n>}'s <a> for {day}.|On {day}, what is the <a> of {<n>}?|What will the <a> of {<n>} be on {day}?",
          "{number}|{decimal}|{adjective}|{int:0:99} percent", "On {day} it is {R}.", "What was the <a> on {day}?", "And on {day}?"),
    Frame("<v>_price cost_to_<v> <v>_cost price_of_<v>ing", "What it costs to <v> a <n>.|The price to <v> a number of <n>s.",
          "<n>s|count|number|n = int:2:80; <m>?|where?|place? = thing",
          "What does it cost to <v> {<n>s} <n>s?|How much is it to <v> {<n>s} <n>s?|I want to <v> {<n>s} <n>s. What does that cost?|Price for {<n>s} <n>s?|How much do {<n>s} <n>s cost?",
          "{int:2:900} euro|${decimal}|{decimal}", "It costs {R}.", "How much do the <n>s cost?|What does it cost to <v> <n>s?"),
    # ---------------------------------------------------------------------------------------------- orders
    Frame("<v> <v>_<n> do_<v> <n>_<v>er", "<V> a <n> with some <u>.|Gives the <n> a number of <u>.|<V>s the <n>.",
          "<n>|name|what|which|target = object; <u>|amount|quantity|n = int:2:900",
          "<V> the {<n>} {<u>} <u>.|<V> the {<n>} with {<u>} <u>.|Give the {<n>} {<u>} <u>.|<V> {<u>} <u> of {<n>}.|Please <v> the {<n>} {<u>} <u>.|I want {<u>} <u> for the {<n>}.|<V> the {<n>} for {<u>} <u>.|<V> {<u>} <u> into the {<n>}.",
          "ok|done|true", "Done.", "<V> it with {<u>} <u>.|Give {<u>} <u>.", kind="give"),
    Frame("<v>_<n> new_<n> create_<n> make_<n>", "<V> a <n> with a title and a level.|Makes a new <n>.|Creates a <n> for the <m>.",
          "title|text|name|subject = text; <a>|level|priority|kind = enum:<j>,<k>,normal",
          '<V> a <n> "{title}" with {<a>} <a>.|Make a <n> "{title}", {<a>}, please.|Create a {<a>} <n> "{title}".|<V> a new <n> with the title "{title}" and {<a>} <a>.|I need a {<a>} <n>: "{title}".|New {<a>} <n> "{title}".|'
          'Please <v> a <n> called "{title}". The <a> is {<a>}.',
          "ok|{code}|<n> {code}|<n> {int:10:9999} is made", "Done. {R}.", "<V> a {<a>} <n>.|Make a <n> with {<a>} <a>.", like="save_note add_todo add_event", kind="new"),
    Frame("open_<n> add_<n> report_<n> <n>_form", "Report a <n>.|Opens a <n> for the <m> people.|Writes down a <n> that somebody has.",
          "text|title|what|description|problem = text",
          'Open a <n>: {text}.|Report the <n> "{text}".|Add a <n> that says {text}.|Please open a <n> with the text "{text}".|I have a <n>: {text}.|Write down this <n>: {text}.|There is a <n>: {text}',
          "ok|<n> {int:10:9999}|{code}|number {int:10:9999}", "Done. {R}.", "Open a <n>.|I want to report a <n>.", like="save_note add_todo", kind="new"),
    Frame("put move_<n> place bring", "Put a <n> into a place.|Moves a <n> to a <m>.|Brings something somewhere.",
          "<n>|what|item|thing = object; <m>|where|to|target|place = object",
          "Put the {<n>} on the {<m>}.|Put the {<n>} under the {<m>}.|Bring the {<n>} to the {<m>}.|Move the {<n>} into the {<m>}.|Take the {<n>} to the {<m>}, please.|Place the {<n>} next to the {<m>}.|"
          "I want the {<n>} in the {<m>}.|Please lay the {<n>} on the {<m>}.",
          "ok|done|moved", "Done.", "Put it on the {<m>}.|Bring something to the {<m>}.", kind="place"),
    Frame("carry transport take_from shift", "Carry a <n> from one place to another.|Takes a <n> from a start to a goal.",
          "<n>|what|item = object; from|start|source = room; to|end|goal|target = room",
          "Carry the {<n>} from the {from} to the {to}.|Take the {<n>} from the {from} to the {to}.|The {<n>} must go from the {from} to the {to}.|Bring the {<n>} from the {from} into the {to}.",
          "ok|done", "Done.", "Carry it from the {from} to the {to}.", kind="place"),
    Frame("tell_person pass_on inform notify", "Tell a person something.|Passes a message on to somebody.|Inform someone about a thing.",
          "person|who|to|name|user = person; text|what|message|content = text",
          "Tell {person} that {text}.|Let {person} know: {text}.|Inform {person} that {text}.|Say to {person}: {text}.|Pass this on to {person}: {text}.|{person} should know that {text}.|Please tell {person}: {text}",
          "ok|told|sent", "Done.", 'Tell somebody that {text}.|Pass this on: {text}', like="send_message send_email call_person assign_task", kind="say"),
    Frame("add_to_<n> <n>_add put_on_<n> extend_<n>", "Add something to the <n>.|Puts a thing on the <n>.|Extends the <n> by an item.",
          "<m>|item|what|thing|entry = object; count?|amount?|n? = int:2:20",
          "Add {<m>} to the <n>.|Put {<m>} on my <n>.|Please add the {<m>} to my <n>.|The <n> needs {<m>}.|I also want {<m>} on the <n>.|Do not forget {<m>} for the <n>.|Write {<m>} on the <n>.",
          "ok|added|done", "Done.", "Add something to the <n>.|Put it on my <n>.", "And {<m>}.|Also {<m>}.", like="shopping_list add_todo", kind="list"),
    Frame("remove_from_<n> <n>_remove take_off_<n>", "Remove something from the <n>.|Takes a thing off the <n>.",
          "<m>|item|what|thing = object",
          "Remove {<m>} from the <n>.|Take {<m>} off the <n>.|I do not want {<m>} on the <n> any more.|Please remove the {<m>} from my <n>.|No {<m>} on the <n>, please.",
          "ok|removed|done", "Done.", "Remove something from the <n>.", "And {<m>}.|Also {<m>}."),
    Frame("set_<a> change_<a> <n>_<a> update_<a>", "Set the <a> of a <n>.|Changes the <a> of the <n> to a value.|Gives the <n> a new <a>.",
          "<n>|name|which = thing; <a>|value|to|new_value = int:0:900",
          "Set the <a> of {<n>} to {<a>}.|Change the <a> of the <n> {<n>} to {<a>}.|Make the <a> of {<n>} {<a>}.|The <a> of {<n>} must be {<a>}.|I want {<n>} at <a> {<a>}.|Put {<n>}'s <a> at {<a>}.",
          "ok|done|true", "Done.", "Set the <a> to {<a>}.|Change the <a> to {<a>}."),
    Frame("<n>_switch switch_<n> turn_<n> <n>_power", "Switch the <n> on or off.|Turns a <n> in a room on or off.",
          "room|where|place = room; on|state|active|power = onoff",
          "Turn {on} the <n> in the {room}.|Switch the {room} <n> {on}.|Turn the <n> in the {room} {on}.|{room} <n> {on}, please.|I want the <n> in the {room} {on}.|Make the <n> in the {room} go {on}.",
          "ok|done", "Done.", "Turn the <n> {on}.|Switch the <n> {on}.", "And in the {room}.", like="set_light window set_fan set_heating set_volume"),
    Frame("make_<n>_<j> <n>_mode set_<n> <n>_setting", "Set how the <n> is.|Changes the <n> to one of its modes.|The <n> can be <j>, <k> or off.",
          "mode|state|setting|to|how = enum:<j>,<k>,off",
          "Make the <n> {mode}.|Set the <n> to {mode}.|The <n> should be {mode}.|I want the <n> {mode}.|<n> {mode}, please.|Please put the <n> on {mode}.|Change the <n> to {mode} now.",
          "ok|done|The <n> is {mode}.", "Done.", "Change the <n>.|Set the <n>, please.", "Now {mode}.", like="set_light set_fan"),
    Frame("book_<n> reserve_<n> <n>_booking order_<n>", "Book a <n> for some people.|Reserves a <n> at a time.|Order a <n> for a day.",
          "people|persons|count|guests|seats = int:2:12; time|at|hour|when = time; day?|date? = day",
          "Book a <n> for {people} people at {time}.|Reserve a <n> at {time} for {people}.|We need a <n> for {people} persons at {time}.|A <n> for {people} at {time}, please.|I want a <n> at {time}. We are {people} people.|"
          "Please get us a <n> for {people} guests at {time}.",
          "ok|booked|{code}", "Done.", "Book a <n> at {time}.|A <n> at {time}, please.", like="book_table find_restaurants"),
    Frame("plan_<n> <n>_planner schedule_<n> arrange_<n>", "Plan a <n> with a person on a day.|Arranges a <n> with somebody.",
          "person|who|with|guest = person; day|date|on|when = day; time?|at? = time",
          "Plan a <n> with {person} on {day}.|I want a <n> with {person} on {day}.|Arrange a <n> on {day} with {person}.|{person} and I need a <n> on {day}.|On {day} there is a <n> with {person}. Please plan it.|Set up a <n> with {person} for {day}.",
          "ok|planned|done", "Done.", "Plan a <n> on {day}.|Arrange a <n> on {day}.", like="add_event invite"),
    Frame("pay_<n> give_<u> <u>_transfer pay_to", "Pay <u> to a person.|Gives a person an amount of <u>.|Sends <u> to somebody.",
          "person|to|who|receiver = person; amount|<u>|value|n = N",
          "Pay {person} {amount} <u>.|Give {amount} <u> to {person}.|{person} gets {amount} <u> from me.|Send {amount} <u> to {person}.|I owe {person} {amount} <u>. Please pay.|Hand {person} {amount} <u>.",
          "ok|paid|done", "Done.", "Pay {amount} <u>.|Send {amount} <u>.", like="transfer"),
    Frame("start_<n> run_<n> launch_<n> <n>_start", "Start a <n> after some minutes.|Runs the <n> with a name later.",
          "<n>|name|which|program = thing; minutes|delay|after|wait = int:1:90",
          "Start the <n> {<n>} in {minutes} minutes.|Run {<n>} after {minutes} minutes.|In {minutes} minutes, start {<n>}.|Let {<n>} begin in {minutes} minutes.|Wait {minutes} minutes and then start the <n> {<n>}.",
          "ok|started|done", "Done.", "Start it in {minutes} minutes.|Start the <n> in {minutes} minutes.", like="start_machine set_timer restart_server"),
    Frame("grade_<n> <n>_points give_<a> score_<n>", "Give a <n> points.|Grades a <n> with a number from 1 to 10.",
          "<n>|name|what = thing; points|value|grade|number = int:1:10",
          "Give {<n>} {points} points.|{<n>} gets {points} of 10.|I give the <n> {<n>} a {points}.|Grade {<n>} with {points}.|My grade for {<n>} is {points}.|Let {<n>} have {points} points.",
          "ok|saved|done", "Done.", "Give it {points} points.|My grade is {points}.", like="rate_film"),
    Frame("rename_<n> name_<n> <n>_name call_<n>", "Give a <n> a new name.|Renames a <n>.|Changes what a <n> is called.",
          "<n>|old|which|id = thing; new|name|new_name|to = thing",
          "Rename the <n> {<n>} to {new}.|Call the <n> {<n>} {new} from now on.|The <n> {<n>} is now called {new}.|Name the <n> {<n>} {new}.|Change the name of the <n> {<n>} to {new}.|{new} is the new name of the <n> {<n>}.",
          "ok|done|renamed", "Done.", "The <n> is now called {new}.|Rename it to {new}.", like="rename_file", kind="name"),
    Frame("sign_up <n>_signup enter_<n> join_<n>", "Sign a person up for a <n>.|Puts a person on the list of a <n>.",
          "person|who|name|member = person; <n>|what|event|which = thing",
          "Sign {person} up for the <n> {<n>}.|{person} wants to join {<n>}.|Put {person} on the list for {<n>}.|Enter {person} for the <n> {<n>}.|Please sign up {person} for {<n>}.|Add {person} to the <n> {<n>}.",
          "ok|done|{code}", "Done.", "Sign somebody up for {<n>}.", like="invite create_user", kind="list"),
    Frame("write_on_<n> <n>_text label_<n> print_on_<n>", "Write a text on the <n>.|Puts some words on a <n>.|Shows a text on the <n>.",
          "text|words|content|what|message = text; color?|ink? = color",
          'Write "{text}" on the <n>.|Write {text} on the <n>.|Put the words "{text}" on the <n>.|Show "{text}" on the <n>.|The <n> should say "{text}".|Let the <n> say: {text}.|On the <n>, write "{text}".',
          "ok|done", "Done.", "Write something on the <n>.|Put some words on the <n>.", like="save_note"),
    Frame("save_<n> keep_<n> store_<n> remember_<n>", "Save a <n> under a name.|Keeps a value for later.|Remembers the <n> of something.",
          "name|key|label|title = noun; value|text|content|<n> = thing",
          "Save {value} under {name}.|Remember that the {name} is {value}.|Keep {value} as {name}.|My {name} is {value}. Remember that.|Store {value} with the name {name}.|The <n> of the {name} is {value}. Please save it.",
          "ok|saved|done", "Done.", "Save {value}.|Remember {value}.", like="save_note add_todo", kind="name"),
    Frame("log_<n> track_<n> record_<n> <n>_diary", "Record how much one <v>s.|Writes a <n> into the diary.|Logs some <u> in some minutes.",
          "<u>|distance|amount|value = N; minutes|time|duration = int:2:90",
          "I <v>ed {<u>} <u> in {minutes} minutes.|Log a <n> of {<u>} <u> in {minutes} minutes.|Today it was {<u>} <u> in {minutes} minutes.|Record {<u>} <u> and {minutes} minutes.|It took me {minutes} minutes to <v> {<u>} <u>.|Write down: {<u>} <u>, {minutes} minutes.",
          "ok|saved|done", "Done.", "Log a <n> of {minutes} minutes.|It took me {minutes} minutes.", like="log_run"),
    Frame("ask_for_<n> request_<n> <n>_request get_me_<n>", "Ask a person for a <n>.|Sends somebody a request for a <n>.",
          "person|who|from|of = person; <n>|what|thing = object",
          "Ask {person} for the {<n>}.|I need the {<n>} from {person}.|Get me the {<n>} from {person}.|{person} has the {<n>}. Ask for it.|Request the {<n>} from {person}.|Can {person} send me the {<n>}?",
          "ok|asked|{person} says yes", "Done.", "Ask for the {<n>}.|Request the {<n>}.", like="send_message send_email call_person assign_task", kind="say"),
    Frame("stop_<n>s end_<n> halt cancel_<n>", "Stop the <n> of a <m>.|Ends a <n>.|Cancels the <n> with a name.",
          "<m>|name|which|id = thing",
          "Stop the <n> of {<m>}.|End {<m>}'s <n>.|Cancel the <n> {<m>}.|I do not need the <n> of {<m>} any more.|No more <n> for {<m>}, please.|Please end the <n> for {<m>}.",
          "ok|stopped|done", "Done.", "Stop the <n>.|Cancel the <n>.", "And {<m>}'s.|And {<m>}."),
    Frame("<v>_all <v>_many mass_<v> <v>_<n>s", "<V> several <n>s at once.|<V>s a list of <n>s.|Use it to <v> all the named <n>s.",
          "<n>s|names|items|list = list",
          "<V> {<n>s}.|Please <v> {<n>s}.|<V> the <n>s {<n>s}.|I want to <v> {<n>s}.|Can you <v> {<n>s} for me?|These <n>s have to be <v>ed: {<n>s}.",
          "ok|done", "Done.", "<V> some <n>s.|<V> them all."),
    Frame("<v>_until <n>_until keep_<v>ing", "<V> the <n> until a time.|Lets the <n> <v> up to an hour of the day.",
          "time|until|end|to = time",
          "<V> the <n> until {time}.|Let the <n> <v> until {time}.|Until {time}, <v> the <n>.|Please <v> the <n> up to {time}.|The <n> must <v> until {time}.",
          "ok|done", "Done.", "Let the <n> <v>.|<V> the <n> for a while.", "Now until {time}."),
    Frame("<n>_for_person give_<n> <v>_<n>_for", "<V> a <n> for a person.|Gives a person a <n> of some kind.",
          "kind|type|which|<n> = object; person|for|who|to = person",
          "<V> a {kind} for {person}.|Give {person} a {kind}.|{person} wants a {kind}.|Get {person} the {kind}, please.|A {kind} for {person}, please.|<V> {person} a {kind}.",
          "ok|done|{code}", "Done.", "<V> something for {person}.|{person} wants something.", like="assign_task order_food", kind="give"),
]  # fmt: skip


EXTRAS = {
    "city": "in {X}",
    "int": "at most {X}",
    "day": "on {X}",
    "time": "at {X}",
    "color": "in {X}",
    "thing": "at {X}",
}


def frame_skill(words: w.Words, frame: Frame) -> Skill:
    """A tool made from ``frame`` with newly drawn words."""
    rng = words.rng
    nouns: list[str] = []
    while len(nouns) < 3:
        noun = words.noun()
        if noun not in nouns and noun not in frame.params:
            nouns.append(noun)
    n, m, o = nouns
    u, other_unit = rng.sample(w.UNIT_LIST, 2)
    j, k = rng.sample(sorted({words.of(w.ADJECTIVES) for _ in range(20)}), 2)
    v, a = words.verb(), words.attribute()
    drawn = {"n": n, "m": m, "o": o, "v": v, "V": v.capitalize(), "a": a, "j": j, "k": k, "u": u, "w": other_unit}

    def put(text: str, joined: bool = False) -> str:
        """``text`` with the drawn words, which are one word each in names and slots."""
        if not joined:
            text = re.sub(r"\{[^{}]*\}", lambda slot: put(slot.group(0), True), text)
        return re.sub(r"<(\w)>", lambda m: drawn[m.group(1)].replace(" ", "_" if joined else " "), text)

    names = put(frame.names, True).lower().split()
    if rng.random() < 0.2:
        names = [re.sub(r"_(\w)", lambda m: m.group(1).upper(), name) for name in names]
    params = put(frame.params, True)
    slots = {slot: kind.partition(":")[0] for slot, kind in re.findall(r"(?:^|; )(\w+)[^=]* = ([^;]+)", params)}
    extras = {slot: EXTRAS[kind].replace("X", slot) for slot, kind in slots.items() if kind in EXTRAS}
    asks = "|".join(ask[0].upper() + ask[1:] for ask in put(frame.asks).split("|"))
    missing = {next(iter(slots)): put(frame.missing)} if frame.missing else {}
    made = skill(" ".join(names), put(rng.choice(frame.about.split("|"))), params, asks, put(frame.results), put(frame.answer),
                 missing, put(frame.follow), extras)  # fmt: skip
    return replace(made, kind=frame.kind or frame.names, rivals=tuple(frame.like.split()))
