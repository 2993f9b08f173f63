"""Opening tags that say a name: `<function=f>`, `<invoke name="f">`, `<arg_key>k</arg_key><arg_value>`."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_TAG = 1000
"""Characters of an opening tag behind its fixed beginning."""

_ATTRIBUTE = re.compile(r"""([\w:.\-]++)\s*+=\s*+(?:"([^"\n]*+)"|'([^'\n]*+)'|([^\s"'<>]++))""")
_ESCAPED_LINE_BREAK = "\\n"


class Tag(NamedTuple):
    """An opening tag as it was read, and the place behind it.

    odd    something was missing or wrong, but its name is clear
    empty  `<tag name="f"/>`: it is its own end tag
    alone  no value belongs to it
    """

    end: int
    name: str
    attributes: Mapping[str, str]
    odd: bool = False
    empty: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """The rest of an opening tag. `pattern` finds its end, `waiting` matches what may still become one.

    Groups of `pattern`: `name`, or `attributes` with the name in one of `name_in`; `odd`, `empty`, `alone` as in `Tag`.
    """

    pattern: re.Pattern[str]
    waiting: re.Pattern[str]
    name_in: Sequence[str] = ("name",)
    unescape: bool = False

    def read(self, text: str, start: int, *, final: bool) -> Tag | bool:
        """The tag; True if it may become one with more text, False if not."""
        limit = start + MAX_TAG
        found = self.pattern.match(text, start, limit)
        if found is None:
            rest = text[start:limit]
            return not final and len(rest) < MAX_TAG and self.waiting.fullmatch(rest) is not None
        groups = found.groupdict()
        attributes: dict[str, str] = {}
        for key, *values in _ATTRIBUTE.findall(groups.get("attributes") or ""):
            value = "".join(values)
            attributes.setdefault(key, html.unescape(value) if self.unescape else value)
        written = groups.get("name") or next((attributes[key] for key in self.name_in if key in attributes), "")
        name = written.strip().removesuffix(_ESCAPED_LINE_BREAK).strip("\"' \t\r\n")
        odd = groups.get("odd") is not None or name != written.strip()
        return Tag(found.end(), name, attributes, odd, bool(groups.get("empty")), groups.get("alone") is not None)


AFTER_EQUALS = Header(re.compile(r"(?P<name>[^<>\n]++)(?:>|(?P<odd>\n|(?=<)))"), re.compile(r"[^<>\n]*+"))
"""`f>` after `<function=`; a line break or the next tag stands for a forgotten `>`."""

ATTRIBUTES = Header(
    re.compile(r"""(?P<attributes>(?:[^"'<>/\n]++|"[^"\n]*+"|'[^'\n]*+'|/(?!>))++)(?P<empty>/?)>"""),
    re.compile(r"[^\n]*+"),
)
"""` name="f">` after `<invoke`."""
