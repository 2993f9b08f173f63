"""Hand-written everyday tools: how they are called, described, asked for and answered.

The skills in ``HELD_OUT`` never occur in training; they measure whether Pocket uses tools that it has never seen.
"""

from __future__ import annotations

from .skill import skill

PLACE_FOLLOW = "And in {city}?|What about {city}?|And {city}?|How about {city}?|And for {city}?|and in {city}"

TRAIN = [
    skill(
        "weather get_weather current_weather weather_today fetch_weather weather_report getWeather check_weather",
        "The weather in a city today.|Get the weather in a city.|Get the current weather for a city.|"
        "Tells what the weather is like in a city.|Current weather of a place.|Return the weather report for a city.|"
        "Get the weather.|Weather for a city.|Look up today's weather in a town.",
        "city|place|town|location|city_name = city; unit?|units? = enum:celsius,fahrenheit; "
        "day?|date?|when? = enum:today,tomorrow",
        "What is the weather in {city}?|What's the weather in {city}?|How is the weather in {city}?|"
        "What is the weather like in {city}?|Do I need an umbrella in {city}?|Is it raining in {city}?|"
        "Will it rain in {city}?|Do I need a coat in {city}?|How warm is it in {city}?|How cold is it in {city}?|"
        "Tell me the weather in {city}.|Weather in {city}?|Is it sunny in {city}?|weather in {city}|"
        "Should I take an umbrella in {city}?|What is the temperature in {city}?|Show me the weather for {city}.|"
        "I am going to {city}. What is the weather there?|Is it hot in {city}?|Is it nice outside in {city}?|"
        "Check the weather in {city}.|I am in {city}. Do I need an umbrella?|Can I go out without a coat in {city}?|"
        "What is the weather in {city} today?|How is the weather in {city} today?|Get the weather for {city}.",
        "{int:-9:38} degrees and {sky}|{int:-9:38} degrees and {sky}|{sky_adjective}|{sky_adjective}, {int:0:35} degrees|"
        "{int:-9:38} degrees|{int:0:35} degrees, {sky_adjective}|{int:0:30} degrees and {sky_adjective}|"
        "{sky} and {int:-9:38} degrees|{Sky}, {int:0:35}°C|{Sky} and {int:-9:35} degrees|It is {int:-9:35} degrees and {sky} in {city}.|"
        "The weather in {city} is {sky_adjective}.|{int:-9:38} degrees, {sky_adjective} and {sky_adjective}|{int:0:35}°C|{int:0:35}°C, {sky}|{Sky}|"
        "{int:-9:38} degrees and {sky}|{int:-9:38} degrees and {sky}|{int:0:35}°C and {sky}|{sky_adjective} with {int:1:38} degrees",
        "It is {R} in {city}.",
        {
            "city": "What is the weather?|How is the weather?|Do I need an umbrella?|Will it rain?|Tell me the weather.|"
            "What is the weather like?|weather please|What's the weather today?|How is the weather today?"
        },
        PLACE_FOLLOW,
        {"unit": "in {unit}", "day": "{day}"},
    ),
    skill(
        "time get_time current_time time_in local_time what_time clock getTime",
        "The time in a city.|Get the current time in a city.|Tells what time it is in a city.|Local time of a place.|"
        "Return the local time for a city.|What time is it in a place?",
        "city|place|town|location|timezone = city",
        "What time is it in {city}?|What is the time in {city}?|Tell me the time in {city}.|Time in {city}?|"
        "How late is it in {city}?|Do you know the time in {city}?|What's the time in {city}?|current time in {city}",
        "{time}|{time}|{time} pm|{time} am",
        "It is {R} in {city}.",
        {"city": "What time is it?|Tell me the time.|What is the time?"},
        PLACE_FOLLOW,
    ),
    skill(
        "add add_numbers sum plus addition add_two",
        "Add two numbers.|Adds two numbers and returns the sum.|Sum of two numbers.|Add a and b.|Adds b to a.",
        "a|x|first|left = N; b|y|second|right = N",
        "What is {a} plus {b}?|What is {a} + {b}?|Add {a} and {b}.|How much is {a} plus {b}?|{a} + {b}|{a} plus {b}?|"
        "Add {b} to {a}.|What is the sum of {a} and {b}?|Please add {a} and {b}.|Calculate {a} + {b}.",
        "{number}",
        "{a} plus {b} is {R}.",
    ),
    skill(
        "multiply multiply_numbers times product mul",
        "Multiply two numbers.|Multiplies two numbers.|Product of two numbers.|Multiply a by b.|Return a times b.",
        "a|x|first|left = N; b|y|second|right = N",
        "What is {a} times {b}?|What is {a} * {b}?|Multiply {a} and {b}.|Multiply {a} by {b}.|How much is {a} times {b}?|"
        "{a} * {b}|{a} times {b}?|What is the product of {a} and {b}?|Calculate {a} * {b}.|What is {a} x {b}?",
        "{number}",
        "{a} times {b} is {R}.",
    ),
    skill(
        "subtract subtract_numbers minus difference sub",
        "Subtract two numbers.|Subtracts b from a.|Difference of two numbers.|Take b away from a.",
        "a|x|first|left = N; b|y|second|right = N",
        "What is {a} minus {b}?|What is {a} - {b}?|Subtract {b} from {a}.|How much is {a} minus {b}?|{a} - {b}|"
        "{a} minus {b}?|Calculate {a} - {b}.",
        "{number}",
        "{a} minus {b} is {R}.",
    ),
    skill(
        "calculate calculator evaluate compute calc math",
        "Calculate an expression.|Evaluates a math expression.|A calculator.|Compute the value of an expression.|"
        "Does arithmetic.",
        "expression|expr|formula|query = expression",
        "What is {expression}?|Calculate {expression}.|How much is {expression}?|{expression}|Compute {expression}.|"
        "Work out {expression}.|What does {expression} give?|Please calculate {expression}.",
        "{number}",
        "{expression} is {R}.",
        follow="And {expression}?|What about {expression}?|Now {expression}.",
    ),
    skill(
        "convert_currency currency exchange convert_money currency_converter exchange_money",
        "Convert money from one currency to another.|Exchange an amount of money.|Converts an amount between currencies.|"
        "Currency converter.",
        "amount|value|sum = N; source|from_currency|base|from = currency; target|to_currency|to|quote = currency",
        "Convert {amount} {source} to {target}.|How much is {amount} {source} in {target}?|"
        "What is {amount} {source} in {target}?|Change {amount} {source} into {target}.|{amount} {source} in {target}|"
        "Exchange {amount} {source} to {target}.|How many {target} are {amount} {source}?",
        "{number}|{number}|{decimal}",
        "{amount} {source} is {R} {target}.",
    ),
    skill(
        "send_email email mail send_mail write_email sendEmail",
        "Send an email.|Sends an email to someone.|Write an email to a person.|Send a mail with a text.",
        "to|recipient|address|email = mailto; text|body|message|content = text; subject? = word",
        'Send an email to {to} saying "{text}".|Send an email to {to} with the text "{text}".|'
        'Email {to} that {text}.|Write an email to {to}: {text}|Mail {to}: "{text}"|Send {to} an email saying {text}.|'
        'Please email {to} and say "{text}".',
        "ok|sent|done|Email sent.|The email is sent.",
        "Done.",
        {
            "to": 'Send an email saying "{text}".|Email that {text}.',
            "text": "Send an email to {to}.|Email {to}.|Write an email to {to}.",
        },
        extras={"subject": 'with the subject "{subject}"'},
    ),
    skill(
        "send_message message text_person send_text sms send_sms",
        "Send a message to a person.|Sends a text message.|Text someone.|Send a short message to a friend.",
        "person|to|recipient|name|contact = person; text|message|body|content = text",
        'Tell {person} that {text}.|Send a message to {person}: {text}|Text {person} "{text}".|'
        'Send {person} a message saying "{text}".|Message {person} that {text}.|Write {person} a message: "{text}"',
        "ok|sent|done|Message sent.|delivered",
        "Done.",
        {"person": 'Send a message saying "{text}".', "text": "Send a message to {person}.|Text {person}."},
    ),
    skill(
        "search web_search search_web find google look_up internet_search",
        "Search the web.|Search the internet for something.|Finds pages on the web.|Look something up on the web.",
        "query|q|text|search_query|terms = topic; limit?|max_results?|count? = int:2:12",
        "Search the web for {query}.|Search for {query}.|Look up {query}.|Find {query} on the web.|Google {query}.|"
        "Search {query}|Please search the internet for {query}.|Find something about {query}.",
        "{The} {adjective} {noun} is a {noun} in {city}.|{Name} is a {adjective} {noun}.|A {noun} is a {adjective} {noun}.",
        "{R}",
        {"query": "Search the web.|Search for something.|Look something up."},
        extras={"limit": "with {limit} results"},
    ),
    skill(
        "set_light light switch_light lights turn_light control_light",
        "Switch a light on or off.|Turn the light in a room on or off.|Controls the lights of a room.|"
        "Switches the lamp in a room.",
        "room|place|where|location = room; on|state|enabled|is_on = onoff",
        "Turn {on} the light in the {room}.|Switch {on} the light in the {room}.|Turn the light in the {room} {on}.|"
        "Turn the {room} light {on}.|Light {on} in the {room}.|Please turn {on} the lights in the {room}.|"
        "Switch the {room} lights {on}, please.",
        "ok|done|The light is {on}.|The {room} light is {on}.",
        "Done.",
        {"room": "Turn {on} the light.|Switch {on} the light."},
        "And in the {room}?|And the {room}?|Now the {room}.",
    ),
    skill(
        "dim_light set_brightness brightness dim",
        "Set how bright the light in a room is.|Sets the brightness of a lamp in percent.|Dim the light.",
        "room|place|where = room; level|percent|brightness|value = int:1:100",
        "Set the light in the {room} to {level} percent.|Dim the {room} light to {level}.|"
        "Set the brightness in the {room} to {level}.|Make the {room} light {level} percent bright.",
        "ok|done",
        "Done.",
        {"level": "Dim the light in the {room}.", "room": "Dim the light to {level} percent."},
    ),
    skill(
        "set_timer timer start_timer countdown",
        "Start a timer.|Sets a timer for some minutes.|Start a countdown in minutes.|Timer in minutes.",
        "minutes|duration|mins|time = int:1:90; label?|name? = food",
        "Set a timer for {minutes} minutes.|Timer for {minutes} minutes.|Start a timer of {minutes} minutes.|"
        "Wake me in {minutes} minutes.|Count down {minutes} minutes.|Start a {minutes} minute timer.",
        "ok|started|The timer is set.|Timer started.",
        "Done.",
        {"minutes": "Set a timer.|Start a timer."},
        "Make it {minutes} minutes.|And one for {minutes} minutes.",
        {"label": "for the {label}|called {label}"},
    ),
    skill(
        "set_alarm alarm wake_me alarm_clock",
        "Set an alarm.|Sets the alarm clock.|Set an alarm at a time.|Wakes the user at a time.",
        "time|at|hour|when = time",
        "Set an alarm for {time}.|Wake me at {time}.|Set the alarm to {time}.|Alarm at {time}.|I must get up at {time}.",
        "ok|The alarm is set.|done",
        "Done.",
        {"time": "Set an alarm.|Wake me up.|Set the alarm."},
        "And one at {time}.|And at {time}?",
    ),
    skill(
        "add_todo todo add_task create_task new_task addTask",
        "Add a task to the list.|Adds an entry to the to-do list.|Put something on the todo list.|Create a task.",
        "task|text|title|item|todo = task; day?|due?|date? = weekday",
        "Add {task} to my list.|Put {task} on my todo list.|Remind me to {task}.|I have to {task}.|"
        'Add the task "{task}".|New task: {task}|Note that I must {task}.|Add "{task}" to the to-do list.',
        "ok|added|Task added.|done",
        "Done.",
        {"task": "Add a task.|Add something to my list.|New task."},
        extras={"day": "on {day}|for {day}"},
    ),
    skill(
        "shopping_list add_to_cart add_item buy_list add_shopping",
        "Put an item on the shopping list.|Adds an item to the shopping list.|Add a product to the cart.",
        "item|product|thing|name = noun; amount|count|quantity|number = int:1:12",
        "Put {amount} {item}s on the shopping list.|Add {amount} {item}s to the cart.|Buy {amount} {item}s.|"
        "I need {amount} {item}s.|Add {amount} {item}s to my shopping list.",
        "ok|added|done",
        "Done.",
    ),
    skill(
        "add_event calendar create_event new_event schedule_meeting schedule",
        "Put an event in the calendar.|Create a calendar event.|Schedule a meeting.|Adds an event on a day.",
        "title|name|event|what = event; day|date|when|on = day; time?|at?|hour? = time",
        "Put {title} in my calendar on {day}.|Schedule {title} on {day}.|Plan {title} for {day}.|"
        "Create an event {title} on {day}.|Add {title} on {day} to the calendar.",
        "ok|saved|The event is saved.|done",
        "Done.",
        {"day": "Put {title} in my calendar.|Schedule {title}."},
        extras={"time": "at {time}"},
    ),
    skill(
        "translate translate_text translation translator",
        "Translate a text into another language.|Translates text.|Translation of a sentence into a language.",
        "text|sentence|phrase|source = text; language|target|to|target_language = language",
        'Translate "{text}" to {language}.|Translate "{text}" into {language}.|How do you say "{text}" in {language}?|'
        'What is "{text}" in {language}?|Say "{text}" in {language}.|Put "{text}" into {language}.',
        "{foreign}",
        'In {language} it is "{R}".',
        {"language": 'Translate "{text}".', "text": "Translate something into {language}.|Translate to {language}."},
        "And in {language}?|And into {language}?|What about {language}?",
    ),
    skill(
        "stock_price get_stock stock share_price quote",
        "The price of a stock.|Get the current price of a share.|Stock price of a company.|Returns the stock price.",
        "symbol|ticker|company|stock = ticker",
        "What is the stock price of {symbol}?|How much is one share of {symbol}?|Price of {symbol} stock?|"
        "How is {symbol} doing on the market?|Get the stock price for {symbol}.|What does a share of {symbol} cost?",
        "{decimal}|{int:3:900}|{decimal} dollars",
        "The price of {symbol} is {R}.",
        {"symbol": "What is the stock price?|How is the stock?"},
        "And {symbol}?|What about {symbol}?|And of {symbol}?",
    ),
    skill(
        "roll_dice dice roll throw_dice roll_die",
        "Roll dice.|Rolls dice and returns the numbers.|Throw dice.|Roll some dice.",
        "count?|number?|n?|dice? = int:1:6; sides?|faces? = enumint:4,6,8,10,12,20",
        "Roll the dice.|Throw the dice.|Roll dice.|Roll a die.|Throw a die for me.|Please roll the dice.",
        "{int:1:20}|{int:1:20}|[{int:1:6}, {int:1:6}]",
        "You rolled {R}.",
        extras={"count": "{count} times", "sides": "with {sides} sides"},
    ),
    skill(
        "random_number random pick_number draw_number",
        "A random number.|Returns a random number between two numbers.|Pick a random number.",
        "low|min|start|minimum = int:0:20; high|max|end|maximum = int:21:999",
        "Give me a random number between {low} and {high}.|Pick a number between {low} and {high}.|"
        "Random number from {low} to {high}.|Think of a number from {low} to {high}.",
        "{int:0:999}",
        "The number is {R}.",
    ),
    skill(
        "distance get_distance how_far route_length",
        "The distance between two cities.|How far it is from one place to another.|Get the distance between two places.",
        "start|origin|source|a|from_city = city; end|destination|target|b|to_city = city",
        "How far is it from {start} to {end}?|What is the distance between {start} and {end}?|"
        "Distance from {start} to {end}?|How many kilometers from {start} to {end}?",
        "{int:20:9000} km|{int:20:9000} kilometers|{int:20:9000}",
        "It is {R} from {start} to {end}.",
    ),
    skill(
        "find_restaurants restaurants search_restaurant restaurant_search",
        "Find restaurants in a city.|Search for a place to eat.|Lists restaurants in a town.",
        "city|place|town|location = city; food?|cuisine?|kind? = food",
        "Find a restaurant in {city}.|Where can I eat in {city}?|Show me restaurants in {city}.|"
        "I am hungry in {city}.|Any good restaurants in {city}?",
        '{Name}, {Name}|["{Name}", "{Name}"]|{Name}',
        "I found {R}.",
        {"city": "Find a restaurant.|Where can I eat?|Show me restaurants."},
        PLACE_FOLLOW,
        {"food": "with {food}|that has {food}"},
    ),
    skill(
        "book_table reserve_table table_booking make_reservation",
        "Book a table in a restaurant.|Reserve a table.|Books a table for some people.",
        "restaurant|name|place = thing; people|guests|persons|party_size = int:1:12; time|at|when = time",
        "Book a table at {restaurant} for {people} people at {time}.|Reserve a table for {people} at {restaurant} at {time}.|"
        "I want a table for {people} at {restaurant}, {time}.|Table for {people} at {time} in {restaurant}, please.",
        "ok|booked|The table is booked.|{code}",
        "Done.",
        {
            "time": "Book a table at {restaurant} for {people} people.",
            "people": "Book a table at {restaurant} at {time}.",
        },
    ),
    skill(
        "play_music music play play_song start_music",
        "Play a song.|Plays music.|Start a song or album.|Play some music by an artist.",
        "song|title|name|query|track = title",
        "Play {song}.|Play the song {song}.|I want to hear {song}.|Put on {song}.|Start {song}, please.|Play some {song}.",
        "ok|playing|Now playing {song}.",
        "Done.",
        {"song": "Play a song.|Play some music.|Play music."},
        "Now play {song}.|And then {song}.",
    ),
    skill(
        "set_volume volume change_volume sound_level",
        "Set the volume.|Sets how loud the sound is.|Change the volume of the speaker.",
        "level|volume|value|percent = int:0:100",
        "Set the volume to {level}.|Volume {level}.|Make it {level} percent loud.|Turn the sound to {level}.|"
        "Change the volume to {level} percent.",
        "ok|done",
        "Done.",
        {"level": "Change the volume.|Set the volume."},
        "Now {level}.|Make it {level}.|No, {level}.",
    ),
    skill(
        "set_heating thermostat set_temperature heating heat",
        "Set the temperature of a room.|Sets the heating.|Set the thermostat in a room.",
        "room|place|where = room; degrees|temperature|value|target = N",
        "Set the {room} to {degrees} degrees.|Heat the {room} to {degrees} degrees.|Make the {room} {degrees} degrees warm.|"
        "Set the heating in the {room} to {degrees}.|I want {degrees} degrees in the {room}.",
        "ok|done|The heating is set.",
        "Done.",
        {"degrees": "Heat the {room}.|Set the heating in the {room}.", "room": "Set the heating to {degrees} degrees."},
        "And the {room} to {degrees}.",
    ),
    skill(
        "define dictionary define_word meaning look_up_word definition",
        "The meaning of a word.|Looks a word up in the dictionary.|Define a word.|Get the definition of a word.",
        "word|term|text|entry = noun",
        "What does {word} mean?|Define {word}.|What is the meaning of {word}?|Look up the word {word}.|"
        'What does "{word}" mean?|Explain the word {word}.',
        "a {adjective} {noun}|a kind of {noun}|a {noun} for a {noun}",
        "{word} means {R}.",
        {"word": "Define a word.|What does this word mean?"},
        "And {word}?|What about {word}?|And what is {word}?",
    ),
    skill(
        "spell reverse_text reverse backwards",
        "Reverse a text.|Writes a text backwards.|Returns the text in reverse.",
        "text|word|value|string = text",
        'Reverse "{text}".|Write "{text}" backwards.|What is "{text}" backwards?|Turn "{text}" around.',
        "{made_up} {made_up}|{made_up}",
        'Backwards it is "{R}".',
    ),
    skill(
        "count_words word_count words length count_letters",
        "Count the words of a text.|How many words a text has.|Counts words.",
        "text|sentence|string|value = text",
        'How many words are in "{text}"?|Count the words in "{text}".|How many words has "{text}"?',
        "{int:1:12}",
        "It has {R} words.",
    ),
    skill(
        "find_flight flights search_flights flight_search book_flight",
        "Find a flight.|Search flights between two cities on a day.|Looks for flights from one city to another.",
        "origin|from_city|start|departure = city; destination|to_city|to|arrival = city; day|date|when = day",
        "Find a flight from {origin} to {destination} on {day}.|I want to fly from {origin} to {destination} on {day}.|"
        "Flights from {origin} to {destination} on {day}?|Is there a flight from {origin} to {destination} on {day}?",
        "{code} at {time}|{code}|{time}|{code} for {int:40:900} euro",
        "I found {R}.",
        {"day": "Find a flight from {origin} to {destination}.", "origin": "Find a flight to {destination} on {day}."},
    ),
    skill(
        "track_package track package_status where_is_package parcel",
        "Where a package is.|Track a package.|Get the status of a parcel.",
        "number|code|id|tracking_number|package_id = code",
        "Where is my package {number}?|Track package {number}.|Where is parcel {number}?|"
        "What is the status of package {number}?|Has {number} arrived?",
        "in {city}|on the way|delivered|at the post office",
        "Package {number} is {R}.",
        {"number": "Where is my package?|Track my package.|Has my parcel arrived?"},
        "And {number}?|What about {number}?",
    ),
    skill(
        "find_contact phone_number get_phone contact lookup_contact",
        "The phone number of a person.|Look up a contact.|Get the phone number of someone.",
        "name|person|contact|who = person",
        "What is the phone number of {name}?|How can I call {name}?|Give me the number of {name}.|"
        "Find the phone number of {name}.|Phone number of {name}?",
        "{int:100:999} {int:100:999}|{int:10000:99999}|+{int:10:99} {int:1000:9999}",
        "The number of {name} is {R}.",
        {"name": "Give me a phone number.|Look up a contact."},
        "And {name}?|And of {name}?|What about {name}?",
    ),
    skill(
        "call_person call phone make_call dial",
        "Call a person.|Calls someone on the phone.|Make a phone call.",
        "name|person|contact|who = person",
        "Call {name}.|Phone {name}, please.|I want to talk to {name}.|Ring {name}.|Please call {name}.",
        "ok|calling|done",
        "Done.",
        {"name": "Make a call.|Call someone."},
    ),
    skill(
        "read_file read open_file load_file file_content",
        "Read a file.|Returns the text of a file.|Reads a file and gives its content.",
        "path|file|filename|name = path",
        "Read {path}.|What is in {path}?|Show me the file {path}.|Open {path}.|Read the file {path}.",
        "{text}",
        "The file says: {R}",
        {"path": "Read a file.|Open the file.|Show me the file."},
        "And {path}?|Now {path}.",
    ),
    skill(
        "save_note note write_note take_note new_note remember",
        "Save a note.|Writes a note.|Remember a text.|Take a note for later.",
        "text|note|content|body = text",
        'Save the note "{text}".|Write down: {text}|Note: {text}|Take a note: {text}|Remember that {text}.|'
        'Make a note saying "{text}".',
        "ok|saved|Note saved.|done",
        "Done.",
        {"text": "Save a note.|Take a note."},
    ),
    skill(
        "news get_news headlines latest_news",
        "The news about a topic.|Get the latest news.|Headlines on a topic.",
        "topic|query|subject|about = topic",
        "What is the news about {topic}?|News about {topic}?|Any news on {topic}?|Show me the news on {topic}.|"
        "Tell me the latest news about {topic}.",
        "{The} {noun} in {city} is {adjective}.|{Name} has a {adjective} {noun}.|A {adjective} {noun} is back in {city}.",
        "{R}",
        {"topic": "Show me the news.|What is the news?"},
        "And about {topic}?|And on {topic}?",
    ),
    skill(
        "convert_unit unit_converter convert convert_units",
        "Convert a value from one unit to another.|Unit converter.|Converts units.",
        "value|amount|number|x = N; source|from_unit|unit|from = unit; target|to_unit|to|into = unit",
        "Convert {value} {source} to {target}.|How many {target} are {value} {source}?|What is {value} {source} in {target}?|"
        "How much is {value} {source} in {target}?",
        "{number}|{decimal}",
        "{value} {source} is {R} {target}.",
    ),
    skill(
        "get_recipe recipe find_recipe cook_book",
        "A recipe for a dish.|Find a recipe.|How to cook a dish.",
        "dish|food|name|meal = food",
        "How do I cook {dish}?|Find a recipe for {dish}.|Recipe for {dish}?|How do you make {dish}?|I want to cook {dish}.",
        "Mix {food} with {food} and cook it.|Boil it for {int:5:60} minutes.|Use {food}, {food} and {food}.",
        "{R}",
        {"dish": "Find a recipe.|Give me a recipe."},
        "And {dish}?|What about {dish}?",
    ),
    skill(
        "order_food order_pizza order food_delivery order_meal",
        "Order food.|Orders a meal.|Order something to eat in a size.",
        "dish|food|item|meal = food; size?|portion? = enum:small,medium,large; count?|amount?|quantity? = int:2:9",
        "Order {dish}.|I want {dish}.|Order some {dish}, please.|Get me {dish}.|I would like {dish}.",
        "ok|ordered|The order is {code}.|It comes in {int:10:60} minutes.",
        "Done.",
        {"dish": "Order food.|I want to order something."},
        extras={"size": "in {size}|, {size}", "count": "{count} times"},
    ),
]

HELD_OUT = [
    skill(
        "train_times next_train departures",
        "When the next train leaves a station.|Next train from a station.",
        "station|stop|place = thing",
        "When does the next train leave {station}?|Next train from {station}?|When is the next train from {station}?",
        "{time}|{time} on track {int:1:9}",
        "{R}",
        {"station": "When does the next train leave?"},
        "And from {station}?|And {station}?",
    ),
    skill(
        "water_garden sprinkle irrigation",
        "Water a part of the garden for some minutes.",
        "area|zone = thing; minutes|duration = int:2:60",
        "Water the {area} for {minutes} minutes.|Please water {area} for {minutes} minutes.",
        "ok|done",
        "Done",
    ),
    skill(
        "hotel_price room_rate",
        "The price of a hotel room for a night.|Price of a room in a hotel.",
        "hotel|name = thing; nights|days = int:1:14",
        "What is the price of a room in the hotel {hotel} for {nights} nights?|Price of hotel {hotel} for {nights} nights?",
        "{int:40:900} euro|{int:40:900}",
        "{R}",
    ),
    skill(
        "move_robot drive_robot robot",
        "Move the robot in a direction.|Drives the robot some meters.",
        "direction|way = enum:left,right,forward,back; meters|distance|steps = int:1:40",
        "Move the robot {meters} meters {direction}.|Drive the robot {direction} for {meters} meters.",
        "ok|done",
        "Done",
    ),
    skill(
        "game_score match_result score",
        "The score of a team.|Get the result of the last game of a team.",
        "team|club|name = thing",
        "What is the score of {team}?|What was the score of the last game of {team}?|Score of {team}?",
        "{int:0:9} to {int:0:9}|{int:0:9}:{int:0:9}",
        "{R}",
        {"team": "What is the score?|What is the score of the team?"},
        "And {team}?|What about {team}?",
    ),
    skill(
        "lock_door door_lock lock",
        "Lock or unlock a door.|Locks a door of the house.",
        "door|name = thing; locked|closed = bool:locked,unlocked",
        "The door {door} must be {locked}.|I want the door {door} {locked}.",
        "ok|done",
        "Done",
    ),
    skill(
        "member_points bonus_points loyalty",
        "The bonus points of a customer.|How many points a customer has.",
        "customer|member|client_id = code",
        "How many points does customer {customer} have?|What are the points of customer {customer}?",
        "{int:0:9000}|{int:0:9000} points",
        "{R}",
        {"customer": "How many points does the customer have?"},
        "And {customer}?|And customer {customer}?",
    ),
    skill(
        "print_label make_label label_printer",
        "Print a label with a text.|Prints labels.",
        "text|label = text; copies|count|number = int:1:20",
        'Print {copies} labels with the text "{text}".|Print the label "{text}" {copies} times.',
        "ok|printed",
        "Done",
        {"copies": 'Print labels with the text "{text}".'},
    ),
    skill(
        "power modulo combine_numbers",
        "Combine two numbers.|Combines two numbers into one.",
        "m|base|one = int:2:99; n|exponent|two = int:2:99",
        "Combine {m} and {n}.|Please combine {m} and {n}.|Combine the numbers {m} and {n}.",
        "{int:2:9000}",
        "{R}",
    ),
    skill(
        "museum_hours opening_hours museum_open",
        "When a museum is open.|Opening hours of a museum on a day.",
        "museum|name = thing; day|weekday = weekday",
        "When is the museum {museum} open on {day}?|When does the museum {museum} open on {day}?",
        "from {time} to {time}|{time}|closed",
        "{R}",
        {"day": "When is the museum {museum} open?"},
    ),
]
