"""Stage 4: write the finished model as an ordinary folder that transformers, or any other runtime, can load.

Weights are stored in float16 (half the size; the largest weight is far below the range of float16), while
``config.json`` names float32 as the type to compute in, which small CPUs handle best.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from .model import build_model
from .train import load_weights

TEMPLATE = Path(__file__).resolve().parent / "chat_template.jinja"


def export(tokenizer_folder: Path, checkpoint: Path, out: Path) -> None:
    """Export ``checkpoint`` into ``out``."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    model = build_model(tokenizer)
    load_weights(checkpoint, model)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(out)
    model.config.architectures = ["LlamaForCausalLM"]
    model.config.save_pretrained(out)
    model.generation_config.save_pretrained(out)
    weights = {name: p.detach().to(torch.float16).contiguous() for name, p in model.named_parameters()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    config["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the folder given to make.py as --out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stage", default="finetune")
    options = parser.parse_args()
    export(options.run / "tokenizer", options.run / options.stage, options.out)


if __name__ == "__main__":
    main()
