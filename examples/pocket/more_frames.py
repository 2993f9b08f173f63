"""More sentence frames, each against a habit that a small model falls into when it copies.

A value goes without the words that carry it ("books by Vera Hatlin": Vera Hatlin; "zone B": B). It keeps its plural
("12 eggs": eggs), its apostrophe, its last word and its small letters. Two numbers belong to two parameters, and the words
around them say which. "Off" and "without" are values too.
"""

from __future__ import annotations

from .frames import Frame

MORE_FRAMES = [
    # ---------------------------------------------------------------------------------------------- without the carrier
    Frame("<v>_fee <n>_price price_of_<v>ing <v>_cost", "Price to <v> in a <n> of the <m>.|What it costs to <v> in a <n>.|The fee for a <n> in <u>.",
          "<n>|name|which|id = label; <u>|duration|length|n = int:1:24",
          "What does it cost to <v> in <n> {<n>} for {<u>} <u>?|How much is it to <v> in <n> {<n>} for {<u>} <u>?|I want to <v> in <n> {<n>} for {<u>} <u>. What does that cost?|"
          "Price for {<u>} <u> in <n> {<n>}?|<n> {<n>}, {<u>} <u>: what is the price?|What do I pay for {<u>} <u> in <n> {<n>}?",
          "{decimal} euros|{int:2:90} euros|${decimal}", "It costs {R}.", "What does it cost to <v> for {<u>} <u>?", "And in <n> {<n>}?"),
    Frame("<n>_info open_<n> show_<n> <n>_<a>", "The <a> of a <n>.|Shows what is in a <n>.|Looks up a <n> by its sign.",
          "<n>|id|sign|number|name = label",
          "What is in <n> {<n>}?|Show me <n> {<n>}.|Open <n> {<n>}, please.|Check <n> {<n>}.|How is the <a> of <n> {<n>}?|Who is in <n> {<n>}?|Where is <n> {<n>}?|I am at <n> {<n>}. What is the <a>?",
          "{adjective}|{noun}|{Name}|{number}|{person}", "{R}", "Show me a <n>.|What is in the <n>?", "And <n> {<n>}?", kind="sign"),
    Frame("find_<n> <n>s_by <n>_shelf where_are_<n>s", "Find the <m> for a person's <n>s.|Where the <n>s of a person are.|The <m> of the <n>s by somebody.",
          "person|by|name|maker|of = full",
          "Where can I find <n>s by {person}?|Do you have <n>s by {person}?|I am looking for <n>s by {person}.|Show me the <n>s by {person}.|Where are the <n>s of {person}?|Is there a <n> by {person}?|"
          "Anything by {person}?|Which <n>s did {person} <v>?",
          "<m> {int:1:99}|<m> {int:1:99}, {adjective} {noun}|{Name}|in the {room}", "You find them here: {R}.", "Where can I find the <n>s?|Show me the <n>s.", "And by {person}?|And {person}?", kind="by"),
    Frame("<v>_<n> play_<n> <n>_<v>er start_<n>", "<V> a <n> by somebody.|<V>s the <n> of an artist.|Use it to <v> a <n>.",
          "title|name|<n>|what = headline; by|artist|person|who = full",
          "<V> {title} by {by}.|Please <v> the <n> {title} by {by}.|I want to <v> {title} by {by}.|<V> {by}'s <n> {title}.|Can you <v> the <n> \"{title}\" by {by}?|<V> \"{title}\" by {by}.",
          "ok|done|<V>ing {title}", "Done.", "<V> something by {by}.|<V> a <n> by {by}.", "Now {title} by {by}.", like="play_music", kind="play"),
    Frame("who_<v>ed <n>_author <n>_by author_of", "Who <v>ed a <n>.|The person who <v>ed the <n> with a title.|Finds out who <v>ed it.",
          "title|<n>|name|what = headline",
          "Who <v>ed {title}?|Who <v>ed the <n> {title}?|Who <v>ed \"{title}\"?|Do you know who <v>ed the <n> \"{title}\"?|By whom is the <n> {title}?|Tell me who <v>ed {title}.",
          "{person}|{Name}|{person} and {person}", "It was {R}.", "Who <v>ed it?|Who <v>ed the <n>?", "And {title}?|And the <n> {title}?", like="find_book"),
    Frame("<n>_<v>s how_many_<v> <a> count_<v>ers", "How many <n>s <v> in a place.|The number of <n>s in a place.|Tells how many <n>s a place has.",
          "place|where|name|city|<m> = city",
          "How many <n>s <v> in {place}?|How many <n>s are in {place} now?|How many <n>s does {place} have?|Do many <n>s <v> in {place}?|In {place}, how many <n>s <v>?|Count the <n>s that <v> in {place}.",
          "{number}|{decimal} million|about {int:2:900}", "There are {R} in {place}.", "How many <n>s are there?|How many <n>s <v>?", "And in {place}?|And {place}?", kind="how many"),
    Frame("call_number dial <n>_call phone_number", "Call a phone number.|Dials a number.|Rings a telephone.",
          "number|phone|phone_number|to = phone",
          "Call {number}.|Dial {number}, please.|Please ring {number}.|The number is {number}. Call it.|Can you call {number} for me?|Phone {number} about the <n>.",
          "ok|calling|nobody answers", "Done.", "Call a number.|Dial the number.", "And {number}.", like="call_person find_contact", kind="dial"),
    Frame("open_page load_<n> <n>_page fetch_url", "Open a web page.|Loads the <n> from an address.|Fetches an address of the web.",
          "url|address|link|page = url",
          "Open {url}.|Go to {url}.|What is on {url}?|Load the <n> from {url}.|Please show me {url}.|Read {url} and tell me about the <n>.",
          "{adjective} {noun}|{Name}|ok", "{R}", "Open a page.|Load the <n>.", "And {url}.", like="search read_file", kind="web"),
    # ---------------------------------------------------------------------------------------------- plurals and amounts
    Frame("add_<n> <m>_list put_on_<m> <m>_add", "Put something on the <m>.|Adds things to the <m> list.|Writes an item on the <m>.",
          "item|thing|what|product = plural; quantity|count|amount|n = int:2:60",
          "Add {quantity} {item} to my <m>.|Put {quantity} {item} on the <m>.|{quantity} {item} for the <m>, please.|My <m> needs {quantity} {item}.|I'd like {quantity} {item} on my <m>, please.|"
          "Please add {quantity} {item} to the <m> list.|We are out of {item}. Put {quantity} on the <m>.|Do not forget {quantity} {item} for the <m>.",
          "ok|added|the <m> now has {int:2:40} <n>s|done", "Done. {R}.", "Add some {item} to my <m>.", "And {quantity} {item}.|Also {quantity} {item}.", like="shopping_list add_todo order_food", kind="list"),
    Frame("buy_<n> order get_<n> <n>_order", "Order things from the <n>.|Buys something in the <n>.|Orders an amount of a product.",
          "product|what|item|thing = plural; count|n|amount|number = int:2:90; person?|for?|who? = person",
          "Order {count} {product} from the <n>.|Buy {count} {product}.|Get me {count} {product}, please.|I'd like {count} {product}, please.|We need {count} more {product}.|Could you order {count} {product}?|"
          "{count} {product}, please.|The <n> should send us {count} {product}.",
          "ok|order {int:100:9999}|{code}|ordered", "Done. {R}.", "Order {count} from the <n>.", "And {count} {product}.", like="shopping_list order_food add_todo", kind="buy"),
    Frame("<a>_of_<n> count_<a> <n>_<a> <a>s", "<V>s the <a> in an amount of <n>.|How many <a>s some <n> has.|The <a> of a <n> of a given weight.",
          "<n>|what|name|item = mass; <u>|amount|weight|n = int:2:900",
          "How many <a>s are in {<u>} <u> of {<n>}?|How many <a>s do {<u>} <u> of {<n>} have?|What is the <a> of {<u>} <u> of {<n>}?|I had {<u>} <u> of {<n>}. How many <a>s is that?|"
          "{<u>} <u> of {<n>}: how many <a>s?|Is there much <a> in {<u>} <u> of {<n>}?",
          "{int:2:900}|{decimal}|{int:2:900} <w>", "It is {R}.", "How many <a>s are in {<u>} <u>?", "And in {<u>} <u> of {<n>}?", like="calories"),
    Frame("share split_<n>s divide_<n>s <n>s_each", "Share <n>s among <m>s.|How many <n>s each <m> gets.|Divides some <n>s.",
          "<n>s|total|count|all = int:4:900; <m>s|people|among|parts = int:2:40",
          "Share {<n>s} <n>s among {<m>s} <m>s.|There are {<m>s} <m>s and {<n>s} <n>s. How many does each get?|Divide {<n>s} <n>s by {<m>s} <m>s.|How many of {<n>s} <n>s does each of {<m>s} <m>s get?|"
          "If {<m>s} <m>s share {<n>s} <n>s, how many is that for each?|Split {<n>s} <n>s between {<m>s} <m>s.",
          "{number}|{decimal}|{int:2:90} each", "It is {R}.", "Share some <n>s among {<m>s} <m>s.", kind="numbers"),
    # ---------------------------------------------------------------------------------------------- two numbers
    Frame("<n>_<a> <a>_for_<n> work_out_<a> compute_<a>", "Work out the <a> for a <n>.|The <a> of a <n> in percent of its price.|Computes a part of a <n>.",
          "<n>|total|price|sum = money; percent|rate|share|p = int:1:60",
          "My <n> is {<n>} and I want to <v> {percent} percent. How big is the <a>?|What is {percent} percent of a <n> of {<n>}?|The <n> is {<n>}. What is the <a> at {percent} percent?|"
          "I <v> {percent} percent on a <n> of {<n>}. How much is the <a>?|With {percent} percent <a>, what is a <n> of {<n>}?|How much <a> is {percent} percent of {<n>}?|{percent} percent <a> on {<n>}?",
          "{decimal}|{number}|{decimal} euros", "The <a> is {R}.", "What is {percent} percent of the <n>?|The <a> is {percent} percent.", "And at {percent} percent?", like="calculate multiply", kind="numbers"),
    Frame("<a>_from_<u> <j>_<a> <a>_index calc_<a>", "The <a> of somebody from <u> and <w>.|Works out the <a>.|Needs <u> and <w>, returns the <a>.",
          "<u>|a|first|x = N; <w>|b|second|y = N",
          "I have {<u>} <u> and {<w>} <w>. What is my <a>?|What is the <a> for {<u>} <u> and {<w>} <w>?|With {<w>} <w> and {<u>} <u>, what is the <a>?|It is {<w>} <w> at {<u>} <u>. How is the <a>?|"
          "Work out the <a>: {<u>} <u>, {<w>} <w>.|{<u>} <u>, {<w>} <w>. <a>?",
          "{decimal}|{number}|{adjective}", "The <a> is {R}.", "What is the <a> for {<w>} <w>?", kind="numbers"),
    Frame("set_<n> <n>_to adjust_<n> <n>_level", "Set the <n> of a place.|Sets the <n> in a room to some <u>.|Changes the <n>.",
          "room|place|where|location = spot; <u>|value|to|level = money",
          "Set the <n> in the {room} to {<u>} <u>.|Make it {<u>} <u> in the {room}.|I'd like {<u>} <u> in the {room}, please.|The {room} needs {<u>} <u>.|Put the {room} <n> at {<u>}.|{room}: {<u>} <u>, please.",
          "ok|done|{room}: {<u>} <u>", "Done.", "Set the <n> to {<u>} <u>.|Make it {<u>} <u>.", "And the {room}?", like="set_heating set_fan dim_light set_volume", kind="set"),
    Frame("loan <n>_plan pay_back monthly_<n>", "What one pays for a <n> in each month.|The <n> for a sum over some years.|Monthly <n> of a sum.",
          "sum|amount|value|principal = int:500:90000; years|time|duration|n = int:2:30; rate|percent|interest|r = money",
          "I borrow {sum} for {years} years at {rate} percent. What is the <n>?|What is the <n> of {sum} over {years} years at {rate} percent?|At {rate} percent for {years} years, what do I pay for {sum}?|"
          "{sum} euro, {years} years, {rate} percent: what is the <n>?|Plan a <n> of {sum} with {rate} percent for {years} years.",
          "{decimal}|{int:20:900} euro", "It is {R}.", "What is the <n> over {years} years at {rate} percent?", kind="numbers"),
    # ---------------------------------------------------------------------------------------------- texts to the last word
    Frame("send_<n> <n>_to write_<n> <n>_person", "Send a <n> to a person.|Writes a short <n> to somebody.|Leaves a <n> for someone.",
          "to|person|who|receiver = person; text|message|content|body = message",
          "Send {to} a <n>: {text}|Send a <n> to {to}: {text}|Write {to} a <n> saying {text}|Leave a <n> for {to}: {text}|<n> for {to}: {text}|Send {to} this <n>: \"{text}\"|Send {to} the <n> \"{text}\".|"
          "Please send {to} a <n> that says {text}|{to} should get this <n>: {text}|Send \"{text}\" as a <n> to {to}.",
          "ok|sent|<n> sent|the <n> is on its way|delivered", "Done.", "Send a <n>: {text}|Send a <n> that says {text}", like="send_message send_email", kind="say"),
    Frame("open_<n> file_<n> <n>_new report_<n>", "Open a <n> for the <m> team.|Files a <n> with a title.|Creates a <n>.",
          "title|subject|name|what = headline; <a>|level|how|importance = enum:low,<j>,high",
          "Open a <n> \"{title}\" with {<a>} <a>.|Open a <n> {title} with {<a>} <a>.|File a {<a>} <n>: {title}|A <n> with {<a>} <a>, please: \"{title}\"|Make a <n> \"{title}\". The <a> is {<a>}.|"
          "Report \"{title}\" as a <n> of {<a>} <a>.|\"{title}\" needs a <n> with {<a>} <a>.",
          "ok|<n> {int:10:9999}|{code}|<n> number {int:10:9999}", "Done. {R}.", "Open a <n> with {<a>} <a>.", like="save_note add_todo add_event", kind="new"),
    Frame("note_<n> write_<n> <n>_note keep_<n>", "Write a <n> down.|Keeps a <n> for later.|Saves the words of a <n>.",
          "text|<n>|content|words = message",
          "Write down: {text}|<n>: {text}|New <n>: {text}|Keep this <n>: {text}|Note the <n> \"{text}\".|Please save the <n> {text}|My <n> is: {text}",
          "ok|saved|<n> {int:2:99}", "Done. {R}.", "Write a <n>.|New <n>.", like="save_note add_todo send_message send_email", kind="note"),
    Frame("<n>_says read_<n> <v>_text say_<n>", "<V> a text with the <n>.|Lets the <n> say something.|The <n> <v>s some words.",
          "text|words|what|sentence = message; <a>?|times?|count? = int:2:9",
          "Let the <n> say: {text}|The <n> should <v> this: {text}|<V> \"{text}\" with the <n>.|<V> {text}|Use the <n> to <v> \"{text}\".|Please let the <n> <v> \"{text}\".",
          "ok|done", "Done.", "Let the <n> say something.", like="repeat spell translate", kind="note"),
    Frame("<v>_word <n>_word word_in <v>_to", "<V> a word into another <n>.|<V>s an English word.|Gives the word of another <n>.",
          "word|text|term|what = thing; <n>|language|to|target = language",
          "How do you <v> {word} in {<n>}?|What is {word} in {<n>}?|<V> {word} to {<n>}.|What is the {<n>} word for {word}?|<V> the word {word} into {<n>}, please.|{word} in {<n>}?|How does one <v> \"{word}\" in {<n>}?",
          "{foreign}|{Name}|{made_up}", 'In {<n>} it is "{R}".', "What is it in {<n>}?|<V> it into {<n>}.", "And in {<n>}?|And {word}?", like="translate spell define", kind="word"),
    # ---------------------------------------------------------------------------------------------- yes and no
    Frame("set_<n> <n>_on_off switch_<n> <n>_switch", "Turn the <n> in a room on or off.|Switches the <n> of a room.|Puts a <n> on or off.",
          "room|where|place|area = spot; on|active|state|running = onoff",
          "Turn {on} the <n> in the {room}.|Turn {on} the {room} <n>.|Switch {on} the <n> of the {room}.|Please switch the <n> in the {room} {on}.|Put the <n> {on} in the {room}.|The <n> in the {room} should be {on}.|"
          "Can you turn {on} the <n> in the {room}?",
          "ok|done|the <n> is {on}", "Done. {R}.", "Turn {on} the <n>.|Switch the <n> {on}.", "And in the {room}.", like="set_light window set_fan set_heating set_volume", kind="switch"),
    Frame("<n>_control <n> move_<n> <n>_state", "Opens or closes the <n>.|Open the <n> of a place, or close it.|Controls a <n>.",
          "open|is_open|opened|state = bool:open,close; <m>|where|place|name = spot",
          "{open} the <n> of the {<m>}.|{open} the {<m>} <n>, please.|{open} the <n> in the {<m>}.|Please {open} the <n> at the {<m>}.|I want you to {open} the <n> in the {<m>}.|{open} {<m>} <n>",
          "ok|done|the <n> moves", "Done. {R}.", like="window", kind="switch"),
    Frame("allow_<n> <n>_access set_<n>_rights <n>_permission", "Allow a person to <v> the <n>, or forbid it.|Gives or takes the right to <v>.|Sets who may <v> a <n>.",
          "person|user|who|name = person; allowed|may|ok|can = bool:allow,forbid",
          "{allowed} {person} to <v> the <n>.|{allowed} {person} the <n>.|{allowed} that {person} <v>s the <n>.|Please {allowed} {person} to <v>.|{allowed} it: {person} and the <n>.",
          "ok|done", "Done.", kind="rights"),
    Frame("order_<n> <n>_order make_<n> serve_<n>", "Order a <n> from the <m>.|Makes a <n> as one likes it.|A <n> with things on it.",
          "size|how_big|format|cup = enum:small,medium,large; <o>|with|topping|kind = mass; extra_<j>|<j>|is_<j>|more = bool: and extra <j>,",
          "I'd like a {size} <n> with {<o>}{extra_<j>}, please.|A {size} <n> with {<o>}{extra_<j>}, please.|Make me a {size} <n> with {<o>}{extra_<j>}.|Order a {size} <n> with {<o>}{extra_<j>}.|"
          "Can I have a {size} <n> with {<o>}{extra_<j>}?|One {size} <n> with {<o>}{extra_<j>} for me.",
          "ok|order {int:10:999}|number {int:10:999}|{code}", "Done. {R}.", "I'd like a <n> with {<o>}{extra_<j>}.", like="order_food", kind="order"),
    Frame("<n>_done is_<v>ed check_<n> <n>_state", "Check whether a <n> has been <v>ed.|Tells if somebody <v>ed a <n>.|Whether the <n> with a number is <v>ed.",
          "<n>_number|<n>|number|id = int:10:99999",
          "Has <n> {<n>_number} been <v>ed yet?|Is <n> {<n>_number} <v>ed?|Has somebody <v>ed <n> {<n>_number}?|Check <n> {<n>_number}.|Did we <v> <n> number {<n>_number}?|Was <n> {<n>_number} <v>ed?|"
          "I wait for <n> {<n>_number}. Has it been <v>ed?",
          "yes|no|on {day}|not yet|<v>ed on {day}|<v>ed by {person}", "Answer: {R}.", "Has my <n> been <v>ed?|Is the <n> <v>ed?", "And <n> {<n>_number}?|And {<n>_number}?", like="track_package", kind="number"),
    # ---------------------------------------------------------------------------------------------- places, days, names
    Frame("<n>_between <n>_from_to route_<n> find_<n>", "Find a <n> between two places.|A <n> from a place to another one, by some means.|Plans a <n>.",
          "from|start|a|origin = spot; to|goal|b|destination = spot; by|means|mode|with = enum:bike,<j>,car",
          "Find a <n> from {from} to {to} by {by}.|I go by {by} from {from} to {to}. Which <n> is best?|Which <n> goes to {to} from {from} by {by}?|What <n> is there by {by} from {from} to {to}?|From {from} to {to} by {by}, please.",
          "{Name}|{int:2:90} minutes|{adjective} {noun}", "Take this: {R}.", "Find a <n> to {to} by {by}.", like="distance find_flight"),
    Frame("book_<n> <n>_from_to reserve_<n> rent_<n>", "Book a <n> from a day to another day.|Reserves a <n> for some days.|Rents a <n>.",
          "<n>|name|which|what = headline; from|start|first_day|begin = day; to|end|last_day|until = day",
          "Book the <n> {<n>} from {from} to {to}.|Reserve {<n>} from {from} until {to}.|I need {<n>} from {from} to {to}.|Can I have the <n> {<n>} from {from} to {to}?|From {from} to {to} I want the <n> \"{<n>}\".",
          "ok|booked|{code}", "Done.", "Book a <n> from {from} to {to}.", like="rent_car book_table", kind="book"),
    Frame("remind_about remind_<n> <n>_reminder tell_at", "Remind a person about something at a time.|Sets a reminder for somebody.",
          "person|who|name|for = person; what|about|text|thing = object; time|at|when|hour = time",
          "Remind {person} about the {what} at {time}.|At {time}, remind {person} of the {what}.|{person} must not forget the {what} at {time}.|Please remind {person} at {time} about the {what}.|Let {person} think of the {what} at {time}.",
          "ok|saved|done", "Done.", "Remind somebody about the {what} at {time}.", like="add_todo set_alarm add_event send_message", kind="say"),
    Frame("<n>_mail invite_mail add_<n>_user <n>_account", "Make an account of the <n> for a person.|Adds somebody to the <n> with a mail address.|New user of the <n>.",
          "name|user|person|who = full; mail|email|address|to = mail",
          "Add {name} to the <n>, mail {mail}.|Make a <n> account for {name} with {mail}.|{name} needs an account. The address is {mail}.|New user of the <n>: {name}, {mail}.|Sign up {name} ({mail}) for the <n>.",
          "ok|{code}|added", "Done.", "Add somebody with the address {mail}.", like="create_user invite", kind="user"),
    Frame("<n>_of_person get_<n> person_<n> show_<n>", "The <n> of a person.|Looks up somebody's <n>.|Tells which <n> a person has.",
          "name|person|who|employee = full",
          "What is {name}'s <n>?|Which <n> does {name} have?|Check the <n> of {name}.|Show {name}'s <n>, please.|Can you check {name}'s <n>?|Has {name} a <n>?|Does {name} have a <n>?|Check {name}'s <n>.",
          "{Name}|{noun}|{number}|yes|no|{code}|{headline}", "{R}", "What is the <n>?|Check the <n>.", "And {name}'s?|And {name}?", like="find_person find_contact", kind="of person"),
    Frame("list_<n>s <n>s_on <n>s_in show_<n>s", "List the <n>s of a <m>.|Titles of all <n>s of a <m>.|Which <n>s a <m> has.",
          "<m>|name|title|which = headline",
          "Which <n>s are on the <m> {<m>}?|What <n>s are in {<m>}?|List the <n>s of the <m> \"{<m>}\".|Show me the <n>s of {<m>}.|Tell me all <n>s on {<m>}.",
          '["{headline}", "{headline}"]|{headline}, {headline}|["{headline}", "{headline}", "{headline}"]|{headline}', "I found {R}.", "Which <n>s are there?", "And {<m>}?", kind="titles"),
]  # fmt: skip
