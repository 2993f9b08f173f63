"""Tools: typed functions, sync or async; what the model is told of them, and what happens when one fails.

python examples/tools.py
"""

import asyncio
import json
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Literal

from ambidex import Agent, ToolResult, tool

lights: dict[str, bool] = {}


# The model is told that the room is one of two; what else it writes is refused before the function is called.
@tool
def set_light(room: Literal["kitchen", "bedroom"], on: bool) -> str:
    """Switch the light in a room on or off.

    Args:
        room: where the light is
        on: whether it shall shine
    """
    lights[room] = on
    return "ok"


@dataclass
class Point:
    x: float
    y: float


class Unit(Enum):
    KM = "km"
    MILES = "miles"


# The model writes JSON, {"start": {"x": 0, "y": 0}, "unit": "miles", ...}; the function gets a Point and Unit.MILES.
# Pydantic models, TypedDicts, unions and nested types work alike. What is returned becomes JSON.
@tool
def distance(
    start: Point,
    end: Point,
    unit: Annotated[Unit, "of the result"] = Unit.KM,
) -> dict[str, float | Unit]:
    """The distance between two points of the map, which is in km."""
    length = ((start.x - end.x) ** 2 + (start.y - end.y) ** 2) ** 0.5
    return {"distance": round(length if unit is Unit.KM else length / 1.609, 2), "unit": unit}


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
        for task in ("Turn on the light in the kitchen.", "What time is it in Tokyo?", "Please check invoice XK-77."):
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
