"""Stop sequences: exact, however the text is cut, and never a piece of one given out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ambidex.formats.quotation import MARK
from ambidex_backends.local.stops import StopMatcher

letters = st.text(alphabet="abc", max_size=40)


def cut_at_first(text: str, stops: list[str]) -> tuple[str, str | None]:
    """The text before the stop sequence that is complete first, by trying every end."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            longest = max(complete, key=len)
            return text[: end - len(longest)], longest
    return text, None


@given(letters, st.lists(st.text(alphabet="abc", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
def test_exact_however_the_text_is_cut(text: str, stops: list[str], data: st.DataObject) -> None:
    matcher = StopMatcher(stops)
    given_out = ""
    rest = text
    longest = max(map(len, stops))
    while rest and matcher.matched is None:
        size = data.draw(st.integers(1, len(rest)))
        piece, rest = rest[:size], rest[size:]
        given_out += matcher.push(piece)
        if matcher.matched is None:
            assert len(text) - len(rest) - len(given_out) < longest, "held back less than a stop sequence"
    given_out += matcher.flush()
    assert (given_out, matcher.matched) == cut_at_first(text, stops)


@given(
    st.lists(st.text(alphabet="abc", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.text(alphabet=["a", "b", "c", MARK], max_size=5)),
)
def test_marks_of_quoted_tags_change_nothing(stops: list[str], pieces: list[str]) -> None:
    marked, plain = StopMatcher(stops), StopMatcher(stops)
    for piece in pieces:
        assert marked.push(piece).replace(MARK, "") == plain.push(piece.replace(MARK, ""))
        assert marked.matched == plain.matched
    assert marked.flush().replace(MARK, "") == plain.flush()


def test_nothing_follows_a_match() -> None:
    matcher = StopMatcher(["Observation:"])
    assert [matcher.push(piece) for piece in ("x\nObs", "ervation", ":", " more")] == ["x\n", "", "", ""]
    assert matcher.flush() == ""


def test_without_stops_everything_passes_at_once() -> None:
    assert StopMatcher([]).push("abc") == "abc"
