"""docs/limits.md has every limit that can be set, with its default and its words."""

from __future__ import annotations

import re
from dataclasses import fields

from tests.conftest import REPOSITORY

from ambidex_backends.http.limits import MIB, Limits


def test_the_table_is_that_of_the_code() -> None:
    page = (REPOSITORY / "docs" / "limits.md").read_text(encoding="utf-8")
    table = page.partition("<!-- limits -->")[2].partition("<!-- end -->")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", table, re.MULTILINE))
    assert list(rows) == [item.name for item in fields(Limits)]
    for item in fields(Limits):
        default = getattr(Limits(), item.name)
        said = f"{default // MIB} MiB" if item.name.endswith("bytes") else f"{default:,}"
        assert rows[item.name] == said
