"""Stage 4: write the finished model as an ordinary folder that transformers, or any other runtime, can load.

    python -m examples.pocket.export --run RUN_DIR --out FOLDER

Weights are stored in float16 (half the size; the largest weight is far below the range of float16), while
``config.json`` names float32 as the type to compute in, which small CPUs handle best.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, PreTrainedTokenizerFast

from .dataset import LENGTH
from .model import llama_config
from .tokenizer import CONTEXT, END, END_OF_TEXT, TEMPLATE
from .train import load_model

SHIPPED = Path(__file__).resolve().parents[2] / "backends/ambidex_backends/local/pocket"


def export(tokenizer_folder: Path, checkpoint: Path, out: Path, kind: str = "average") -> None:
    """Export ``checkpoint``, its averaged weights or with ``kind`` "weights" its last ones, into ``out``.

    :raises ValueError: if ``checkpoint`` holds another model.
    """
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    model = load_model(checkpoint, kind)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(out)
    end, pad = (tokenizer.get_vocab()[token] for token in (END, END_OF_TEXT))
    config = llama_config(model.shape, CONTEXT, LENGTH, end, pad)
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(out)
    GenerationConfig(
        eos_token_id=[end, pad], pad_token_id=pad, bos_token_id=None, do_sample=False, max_new_tokens=256
    ).save_pretrained(out)
    weights = {name: p.detach().to(torch.float16).contiguous() for name, p in model.named_parameters()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    written = json.loads((out / "config.json").read_text(encoding="utf-8"))
    written["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="the folder given as --out to make.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stage", default="finetune", choices=("pretrain", "finetune"))
    parser.add_argument("--kind", default="average", choices=("average", "weights"), help="averaged or last weights")
    options = parser.parse_args()
    made = options.run / "tokenizer"  # missing where a run went on from the model in the box
    checkpoint = options.run / options.stage / "checkpoint.safetensors"
    if not checkpoint.is_file():
        parser.error(f"{checkpoint} is not there: --run is the folder that was given as --out to examples.pocket.make")
    export(made if made.is_dir() else SHIPPED, checkpoint, options.out, options.kind)


if __name__ == "__main__":
    main()
