"""The same agent on different hands: only the model string changes.

    python examples/swap_hands.py                                             # the model in the box
    python examples/swap_hands.py local:./folder                              # a model folder, in this process
    python examples/swap_hands.py hf:openai/gpt-oss-120b:cheapest             # Hugging Face, needs HF_TOKEN
    python examples/swap_hands.py http://127.0.0.1:8000/v1#name               # vLLM, llama.cpp, Ollama, ...
    python examples/swap_hands.py local:pocket hf:openai/gpt-oss-120b         # one after the other

The program does not know which of them answers: the events, the values and the errors are the same.
"""

import sys

from ambidex import Agent, AmbidexError, tool


@tool
def weather(city: str) -> str:
    """The weather in a city today."""
    return {"Paris": "18 degrees and rain", "Rome": "25 degrees and sun"}.get(city, "21 degrees and clouds")


def ask(model: str) -> bool:
    """Runs the task on this model and shows what came of it; whether that worked."""
    print(f"== {model}")
    try:
        with Agent(model, tools=[weather], max_steps=5) as agent:
            result = agent.run("What is the weather in Paris?")
    except AmbidexError as error:  # every error of every backend; its text says what to do
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return False
    for step in result.steps:
        for call in step.reply.tool_calls:
            print(f"called   {call.name}({call.arguments_json})")
    print(f"answered {result.answer}")
    usage = result.usage
    print(f"used     {usage.input_tokens} tokens in, {usage.output_tokens} out, {len(result.steps)} steps")
    return True


if __name__ == "__main__":
    worked = [ask(model) for model in sys.argv[1:] or ["local:pocket"]]
    sys.exit(0 if all(worked) else 1)
