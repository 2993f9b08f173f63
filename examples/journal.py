"""A run that survives the death of its program, and a tool that never runs twice by accident.

python examples/journal.py
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from ambidex import Agent, tool
from ambidex.errors import CallsInDoubt
from ambidex.sqlite_journal import SQLiteJournal

TASK = "Turn on the light in the kitchen."


def light_agent(folder: Path, *, dies: bool) -> Agent:
    """An agent whose tool has an effect outside: a line in the file of switches."""

    @tool
    def set_light(room: Literal["kitchen", "bedroom"], on: bool) -> str:
        """Switch the light in a room on or off."""
        with (folder / "switches.txt").open("a") as switches:
            switches.write(f"{room} {'on' if on else 'off'}\n")
        if dies:
            os._exit(9)  # the power fails: after the effect, before anybody hears of it
        return "ok"

    # Every step is in the file before the next one begins.
    return Agent("local:pocket", tools=[set_light], journal=SQLiteJournal(folder / "runs.sqlite"))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        # 1. A program of its own begins the run, and dies inside the tool.
        died = subprocess.run([sys.executable, __file__, name]).returncode
        print(f"The first program ended with exit code {died}.")

        # 2. Another one goes on. The answer of the model is not asked for again. Whether the call had its effect only
        #    the world knows: it is not repeated, but asked about.
        with light_agent(folder, dies=False) as agent:
            try:
                result = agent.resume("kitchen-light")
            except CallsInDoubt as error:
                # 3. Look, and say what happened. The other answers are did_not_happen(), then the call is run now, and
                #    still_unknown(), then the model is told so.
                switched = (folder / "switches.txt").read_text()
                settled = []
                for call in error.calls:
                    print(f"In doubt: {call.call.name} {call.call.arguments_json}")
                    settled.append(call.happened("ok") if "kitchen on" in switched else call.did_not_happen())
                result = agent.resume("kitchen-light", settle=settled)
        print(result.answer)
        print("Switches:", (folder / "switches.txt").read_text().split("\n")[:-1])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        light_agent(Path(sys.argv[1]), dies=True).run(TASK, run_id="kitchen-light")
    else:
        main()
