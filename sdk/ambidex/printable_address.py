"""Addresses as they may be shown: without what may be secret in them."""

from __future__ import annotations

import re

_USER = re.compile(r"^([\w+.-]*:?//)?.*@", re.DOTALL)


def printable_address(address: str) -> str:
    """Without name, password and query. Of one that is wrongly written rather too much is hidden than too little."""
    return _USER.sub(r"\1***@", address).partition("?")[0]


def printable_model(model: str) -> str:
    """A model string; in one that is no address "@" begins a revision, and behind "#" stands a name."""
    if "//" not in model:
        return model
    address, mark, name = model.partition("#")
    return printable_address(address) + mark + name
