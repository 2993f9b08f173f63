"""`ambidex env`: versions, devices and settings; what a report of a problem needs. Secrets are never shown."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import cast

from ambidex import __version__
from ambidex.backend import ENTRY_POINT_GROUP
from ambidex.printable_address import printable_address

from .screen import Screen

PACKAGES = {
    "needed": ("pydantic", "jinja2", "httpx", "huggingface-hub", "click", "docstring-parser"),
    "extra local": ("torch", "transformers", "tokenizers", "safetensors"),
    "extra cli": ("rich",),
}

SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AMBIDEX_API_KEY")

ADDRESSES = ("AMBIDEX_HF_BASE_URL", "HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
"""They may hold a password."""

VARIABLES = (
    *SECRETS,
    *ADDRESSES,
    *("AMBIDEX_CACHE", "AMBIDEX_SHARED"),
    *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN"),
    *("NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("NO_COLOR", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "CC"),
)
"""docs/environment.md says what each does."""


def env(*, as_json: bool) -> None:
    """Writes everything to stdout."""
    sections = {
        "Ambidex": {"ambidex": __version__, "python": _python(), "system": platform.platform()},
        "Packages": packages(),
        "Backends": backends(),
        "Variables": variables(os.environ),
    }
    with Screen() as screen:
        if as_json:
            screen.value(sections)
            return
        for title, facts in sections.items():
            screen.table(title, list(facts.items()))


def packages() -> dict[str, str]:
    """What is installed of what we use."""
    found: dict[str, str] = {}
    for use, names in PACKAGES.items():
        for name in names:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                missing = "not installed"
                found[name] = missing if use == "needed" else f"{missing} ({use})"
    return found


def backends() -> dict[str, str]:
    """What each registered backend says of this machine: its class may have a static `environment()`."""
    found: dict[str, str] = {}
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        try:
            describe = getattr(entry.load(), "environment", dict[str, str])
            facts = cast("Mapping[str, str]", describe())
            found[f"{entry.name}:"] = ", ".join(f"{name} {value}" for name, value in facts.items()) or "there"
        except Exception as problem:  # a broken installation is what this command is asked about
            found[f"{entry.name}:"] = f"{type(problem).__name__}: {problem}"
    return found


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings that are read; of a secret only whether it is set. Then those that look like ours but are not."""
    found: dict[str, str] = {}
    for name in VARIABLES:
        value = environment.get(name) or environment.get(name.lower() if name.endswith("_PROXY") else name)
        if value is None:
            found[name] = "-"
        elif name in SECRETS:
            found[name] = "set (not shown)"
        else:
            found[name] = printable_address(value) if name in ADDRESSES else value
    for name in sorted(environment):
        if name.startswith("AMBIDEX_") and name not in VARIABLES:
            found[name] = "set, but unknown: is it misspelt?"
    return found


def _python() -> str:
    return f"{platform.python_version()} ({platform.python_implementation()})"
