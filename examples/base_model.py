"""How a model writes, step by step: it scores every token of its vocabulary, one is picked, and that is input again.

    python examples/base_model.py                                    # the model in the box
    python examples/base_model.py ./folder "Once upon a time"        # a model folder of yours and a text to go on from
    python examples/base_model.py RUN_DIR/pretrained "The weather"   # Pocket before it learnt to chat (pocket/make.py)

A raw prompt goes to the model as it is, without a chat template: this is how base models are used, which were trained
to continue text and not to chat. Pocket's pretraining gives such a model. It has read dialogues, every token of them,
and copying exercises: whatever it is given, it goes on in the manner of one or the other, and says little that is
right. Fine-tuning then makes it the one who answers.
"""

import argparse
import math

from ambidex import AmbidexError, Greedy, Request, Special, collect, connect

STEPS = 20
CANDIDATES = 5
BAR = 30

# A chat model is a model that continues conversations which are written down in a certain form; its chat template
# writes them. Here that is done by hand. `Special` is a control token; in a str its spelling would stay text.
CONVERSATION: list[str | int | Special] = [
    *(Special("<|im_start|>"), "user\nWho are you?", Special("<|im_end|>"), "\n"),
    *(Special("<|im_start|>"), "assistant\n"),
]


def main(folder: str, text: str | None) -> None:
    prompt = [text] if text is not None else CONVERSATION
    start = "".join(part.text if isinstance(part, Special) else str(part) for part in prompt)
    print(start)
    written = [*prompt]
    backend = connect(f"local:{folder}")
    for step in range(1, STEPS + 1):
        # What is written so far goes in, one token and the likeliest five come out. What the model computed for earlier
        # tokens is kept, so that a step costs one token and not all of them.
        request = Request(prompt=written, max_tokens=1, logprobs=CANDIDATES, decoding=Greedy())
        reply = collect(backend.stream(request))
        assert reply.logprobs is not None  # they were asked for
        chosen = reply.logprobs[0]
        print(f"\nstep {step}")
        for candidate in chosen.top:
            probability = math.exp(candidate.logprob)
            mark = "*" if candidate.id == chosen.id else " "
            print(f" {mark} {candidate.text!r:<16} {probability:6.1%} {'#' * round(BAR * probability)}")
        if reply.finish_reason == "stop" or chosen.id is None:  # it picked its end token (only servers give no ids)
            break
        written.append(chosen.id)

    # The same in one request: the loop above is what a backend does for every answer.
    whole = collect(backend.stream(Request(prompt=prompt, max_tokens=STEPS, decoding=Greedy())))
    print(f"\n{start}{whole.text}")
    backend.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="pocket", help="a model folder; by default the model in the box")
    parser.add_argument("text", nargs="?", help="what to go on from; by default a question to a chat model")
    options = parser.parse_args()
    try:
        main(options.model, options.text)
    except AmbidexError as error:
        parser.error(str(error))
