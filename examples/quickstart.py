"""The first program: ask a model that runs in this process, then give it a tool.

    python examples/quickstart.py

Nothing is downloaded and no key is needed: `local:pocket` is a small model that comes with the package. It knows
little, but it can call tools. Any other model string works in its place (see swap_hands.py).
"""

from ambidex import Agent, Chat, TextDelta, tool
from ambidex.agent import ToolReturned, ToolStarted

MODEL = "local:pocket"


# A tool is a typed function. The model is told its name, its docstring and the types of its arguments.
@tool
def weather(city: str) -> str:
    """The weather in a city today."""
    return {"Paris": "18 degrees and rain", "Rome": "25 degrees and sun"}.get(city, "21 degrees and clouds")


def main() -> None:
    # A chat: one question, one answer, shown piece by piece as the model writes it.
    print("You:    Who are you?")
    print("Pocket: ", end="")
    with Chat(MODEL) as chat:
        for piece in chat.stream("Who are you?").text:
            print(piece, end="", flush=True)
    print("\n")

    # An agent: the model may call tools. It is asked again with each result, until it answers without a call.
    task = "What is the weather in Paris?"
    print("You:   ", task)
    answer = ""
    with Agent(MODEL, tools=[weather]) as agent:
        for event in agent.stream(task):
            match event:
                case ToolStarted(call):
                    print("Call:  ", call.name, call.arguments_json)
                case ToolReturned(result=result):
                    print("Result:", result.text)
                case TextDelta(text):
                    answer += text
                case _:  # there are more kinds of events, and may be others in later versions
                    pass
    print("Pocket:", answer)


if __name__ == "__main__":
    main()
