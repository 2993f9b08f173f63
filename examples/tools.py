"""Tools: typed functions, sync or async; what the model is told of them, and what happens when one fails.

python examples/tools.py
"""

import asyncio
import json
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Literal

from ambidex import Agent, ToolResult, tool


class Room(Enum):
    KITCHEN = "kitchen"
    BEDROOM = "bedroom"


@dataclass
class Point:
    x: float
    y: float


lights: dict[Room, bool] = {}


# The model writes {"room": "kitchen", "on": true}; the function gets Room.KITCHEN and True.
@tool
def set_light(room: Room, on: bool) -> str:
    """Switch the light in a room on or off.

    Args:
        room: where the light is
        on: whether it shall shine
    """
    lights[room] = on
    return "ok"


# Dataclasses, Literals, defaults and nested types work alike; what is returned becomes JSON.
@tool
def distance(
    start: Point,
    end: Point,
    unit: Annotated[Literal["km", "miles"], "of the result"] = "km",
) -> dict[str, float | str]:
    """The distance between two points of the map, which is in km."""
    length = ((start.x - end.x) ** 2 + (start.y - end.y) ** 2) ** 0.5
    return {"distance": round(length if unit == "km" else length / 1.609, 2), "unit": unit}


# An async tool runs on an event loop; the calls of one answer run at the same time.
@tool
async def get_time(city: str) -> str:
    """The current time in a city."""
    await asyncio.sleep(0.01)  # a real one would wait for the network here
    return {"Tokyo": "21:40", "Paris": "13:40"}.get(city, "12:00")


# An exception does not end the run: the model is told and may try something else.
@tool
def check_invoice(invoice_id: str) -> str:
    """Check an invoice."""
    raise RuntimeError("the database is locked")


def main() -> None:
    # 1. The schema that the model is given comes from the annotations and the docstring.
    print(json.dumps(set_light.to_openai()["function"], indent=2))

    # 2. Arguments are validated and rebuilt to the annotated types before the function is called.
    print(distance.bind({"start": {"x": 0, "y": 0}, "end": {"x": 3, "y": 4}, "unit": "miles"}))
    print(distance(Point(0, 0), Point(3, 4)))  # it is still the function that it was

    # 3. An agent lets the model call them.
    with Agent("local:pocket", tools=[set_light, get_time, check_invoice]) as agent:
        for task in ("Turn on the light in the kitchen.", "What time is it in Tokyo?", "Check the invoice XK-77."):
            result = agent.run(task)
            print(f"\n{task}")
            for step in result.steps:
                for call in step.reply.tool_calls:
                    print(f"  calls {call.name} {call.arguments_json}")
                for returned in step.results:
                    show(returned)
            print(f"  {result.answer}")
    print(f"\nThe lights are now: {lights}")


def show(result: ToolResult) -> None:
    print(f"  {'error' if result.is_error else 'gets'}: {result.text}")


if __name__ == "__main__":
    main()
