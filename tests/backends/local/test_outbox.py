"""The way from the engine to the reader: nothing is lost, and a reader that is behind is seen."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from ambidex_backends.local.outbox import Outbox
from ambidex_backends.local.outputs import Piece


@given(st.lists(st.booleans(), max_size=80), st.integers(1, 8))
def test_outputs_come_in_order_and_full_means_full(puts: list[bool], capacity: int) -> None:
    rooms: list[int] = []
    outbox = Outbox(lambda: None, capacity=capacity)
    outbox.when_room(lambda: rooms.append(1))
    held: list[str] = []
    full, expected_rooms = False, 0
    for number, is_put in enumerate(puts):
        if is_put:
            outbox(Piece(str(number)))
            held.append(str(number))
            full = full or len(held) >= capacity
        else:
            output = outbox.take()
            assert (output.text if isinstance(output, Piece) else None) == (held.pop(0) if held else None)
            if full and len(held) <= capacity // 2:
                full, expected_rooms = False, expected_rooms + 1
        assert outbox.is_full == full
        assert len(rooms) == expected_rooms


def test_a_waiting_reader_is_woken_for_everything() -> None:
    event = threading.Event()
    outbox = Outbox(event.set)
    got: list[str] = []

    def read() -> None:
        while len(got) < 5000:
            while (output := outbox.take()) is None:
                assert event.wait(30)
                event.clear()
            assert isinstance(output, Piece)
            got.append(output.text)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(5000):
        outbox(Piece(str(number)))
    reader.join(60)
    assert got == [str(number) for number in range(5000)]


def test_nobody_is_called_when_the_reader_is_gone() -> None:
    calls: list[int] = []
    outbox = Outbox(lambda: calls.append(1), lambda: True)
    outbox(Piece("x"))
    assert outbox.is_gone
    assert not calls
