"""transformers' readers of configurations and tokenizers, imported without what they do not need.

A configuration checks the name of its activation function against a table, and that table's module draws in PyTorch's
distributed tensors, its compiler and sympy: more than all of PyTorch itself. Models that our kernels compute need none
of it. Where transformers is arranged otherwise, everything works all the same, only later.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from typing import Any

CHECKS = "transformers.utils.type_validators"
TABLE = "transformers.activations"


def import_configurations() -> None:
    """Imports the module of checks as transformers does without PyTorch: then it takes any activation's name."""
    if CHECKS in sys.modules or TABLE in sys.modules:
        return
    with suppress(ImportError, AttributeError):
        # What the checks import is imported first, so that nothing else sees the answer that is not true.
        for needed in ("transformers.tokenization_utils_base", "transformers.video_utils"):
            importlib.import_module(needed)
        facts: Any = importlib.import_module("transformers.utils.import_utils")
        is_torch_available = facts.is_torch_available
        facts.is_torch_available = lambda: False
        try:
            checks: Any = importlib.import_module(CHECKS)
        finally:
            facts.is_torch_available = is_torch_available
        checks.is_torch_available = is_torch_available
