"""`ambidex chat`: a conversation, line by line."""

from __future__ import annotations

from ambidex.errors import AmbidexError
from ambidex.messages import Message, User
from ambidex.printable_address import printable_model

from . import standard_input
from .agent_options import AgentOptions
from .narration import narrate
from .screen import Screen

HELP = "/reset forgets the conversation, /quit or Ctrl-D ends it, Ctrl-C stops an answer."


def chat(options: AgentOptions, *, quiet: bool) -> None:
    """Answers each line of the input; the conversation grows with every whole answer.

    Typed by a person, an error or Ctrl-C ends the answer and the conversation goes on; in a pipe it ends the command.
    """
    is_typed = standard_input.is_typed()
    with Screen(quiet=quiet) as screen, options.agent() as agent:
        if is_typed:
            screen.note(f"{printable_model(options.model)}: {HELP}")
        messages: tuple[Message, ...] = ()
        for line in standard_input.lines("> "):
            said = line.strip()
            if said == "/quit":
                return
            if said == "/reset":
                messages = ()
                screen.note("The conversation starts again.")
            elif is_typed and said.startswith("/"):
                screen.note(f"There is no command {said.split()[0]!r}: {HELP}")
            elif said:
                try:
                    stream = agent.stream((*messages, User(said)))
                    messages = narrate(stream, screen, text=True).messages
                except KeyboardInterrupt:
                    if not is_typed:
                        raise
                    screen.note("Stopped; this question and its answer are not kept.")
                except AmbidexError as error:
                    if not is_typed:
                        raise
                    screen.error(error)
