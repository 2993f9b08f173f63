"""Prompts as values: a text with typed variables, few-shot examples, a typed function as a prompt.

python examples/prompts.py
"""

from ambidex import Agent, Chat, PromptTemplate, prompted, tool

# A template has a name, a version and typed variables; in a program of yours it would be a file of its own
# (PromptTemplate.from_file). Each section becomes one message. A value never becomes a role or a template.
SUPPORT = PromptTemplate(
    """\
---
name: support
version: 2
variables:
  product: str
  shots: examples = []
  question: str
--- system
You answer questions about {{ product }}. Be brief.
--- examples shots
--- user
{{ question }}
"""
)


# A typed function is a prompt, too: the docstring is the text, the parameters are its variables, the return type is
# what the answer is read as (str: its text).
@prompted
def greet(name: str) -> str:
    """Hello! My name is {{ name }}."""
    raise NotImplementedError  # never called: the model answers


@tool
def weather(city: str) -> str:
    """The weather in a city today."""
    return {"Oslo": "4 degrees and snow"}.get(city, "21 degrees and clouds")


ASK_WEATHER = PromptTemplate("What is the weather in {{ city }}?", variables={"city": str})


def main() -> None:
    # 1. Rendering gives messages. The hash changes if and only if the text does: store it with what you measure.
    messages = SUPPORT.render(
        product="Ambidex",
        shots=[("Is it free?", "Yes, under the Apache License 2.0.")],
        question="What is {{ this }}?",  # stays as it is: values are not templates
    )
    for message in messages:
        print(f"{type(message).__name__:>9}: {message.text}")
    print(f"{SUPPORT.name} {SUPPORT.version}, hash {SUPPORT.hash[:12]}\n")

    # 2. A wrong value is refused before any model is asked.
    try:
        SUPPORT.render(product="Ambidex", qestion="?")
    except ValueError as error:
        print(f"{type(error).__name__}: {error}\n")

    # 3. A function asks a model, or goes on from a chat.
    with Chat("local:pocket") as chat:
        print(greet.ask(chat, name="Ana"))

    # 4. Rendered messages are what agents take.
    with Agent("local:pocket", tools=[weather]) as agent:
        for city in ("Oslo", "Rome"):
            print(agent.run(ASK_WEATHER.render(city=city)).answer)


if __name__ == "__main__":
    main()
