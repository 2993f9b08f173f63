"""`connect`, capabilities, and what stands between a model string and a backend."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ambidex import Backend, Beams, Capabilities, Chat, Fallback, Greedy, Image, Request, Sampling, User, connect
from ambidex.backend import backend_names, check_supported, notify
from ambidex.errors import AmbidexError, ConfigError, Unsupported
from ambidex.testing import ScriptedBackend

PLUGIN = """
from ambidex.backend import last_release
from ambidex.option_names import refuses_unknown_options
from ambidex.errors import ConfigError
from ambidex.testing import ScriptedBackend

@refuses_unknown_options(ConfigError)
class PluginBackend(ScriptedBackend):
    made = []

    def __init__(self, model, *, loud=False, folders=()):
        super().__init__(lambda request: f"I am {model}.")
        self.model = model
        self.loud = loud
        self.made.append(self)

    def close(self):
        if last_release(self):
            super().close()
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """A package that registers backends as any other does: an installed distribution with entry points."""
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[ambidex.backends]\nplugin = ambidex_test_plugin:PluginBackend\n",
        encoding="utf-8",
    )
    (tmp_path / "ambidex_test_plugin.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "ambidex_test_plugin", raising=False)
    import ambidex_test_plugin  # type: ignore[import-not-found]  # written just above

    made: type[Any] = ambidex_test_plugin.PluginBackend
    return made


def test_a_registered_name_connects(plugin: type[Any]) -> None:
    with Chat("plugin:anna") as chat:
        assert chat.ask("Who?").text == "I am anna."
    assert "plugin" in backend_names()
    assert plugin.made[-1].closed


def test_the_rest_of_the_string_is_the_backend_s(plugin: type[Any]) -> None:
    for model, target in [
        ("plugin:org/name:cheapest", "org/name:cheapest"),
        ("plugin:./folder", "./folder"),
        ("plugin://host:8000/v1#model", "plugin://host:8000/v1#model"),
    ]:
        backend = connect(model)
        assert backend.model == target
        backend.close()


def test_equal_names_and_options_share_a_backend_until_the_last_close(plugin: type[Any]) -> None:
    one = connect("plugin:a", folders=["x"])
    two = connect("plugin:a", folders=["x"])
    other = connect("plugin:a", folders=["y"])
    assert one is two
    assert other is not one
    one.close()
    assert not two.closed
    two.close()
    assert two.closed
    again = connect("plugin:a", folders=["x"])
    assert again is not one
    assert not again.closed
    again.close()
    other.close()


def test_a_fork_holds_the_backend_too(plugin: type[Any]) -> None:
    chat = Chat("plugin:a")
    fork = chat.fork()
    chat.close()
    chat.close()
    assert fork.ask("Who?").text == "I am a."
    fork.close()
    assert plugin.made[-1].closed


def test_unknown_options_are_refused_with_the_nearest(plugin: type[Any]) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'loud'"):
        connect("plugin:a", lout=True)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("plugn:a", "Did you mean 'plugin:a'"),
        ("pocket", "Did you mean 'local:pocket'"),
        ("./folder", "'local:./folder'"),
        ("org/name", "'local:org/name'.*'hf:org/name'"),
        ("org/name:cheapest", "'hf:org/name:cheapest'"),
        ("plugin:", "no model"),
        ("", "names no backend"),
        (3, "got int"),
        (None, "got NoneType"),
    ],
)
def test_a_string_that_names_no_backend_is_refused(plugin: type[Any], model: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        connect(model)


@pytest.mark.parametrize("model", ["htp://user:Canary@host/v1#name", "user:Canary@host/v1#name", "x//user:Canary@host"])
def test_a_password_in_a_wrong_model_string_is_not_repeated(model: str) -> None:
    with pytest.raises(ConfigError, match="@host") as caught:
        connect(model)
    assert "Canary" not in caught.value.message


def test_what_is_shown_of_a_model_string_holds_no_secret(plugin: type[Any]) -> None:
    model = "plugin://user:Canary@host/v1?key=Canary#@cf/name"
    shown = [repr(Chat(model)), repr(Fallback([model]))]
    assert all("'plugin://***@host/v1#@cf/name'" in text and "Canary" not in text for text in shown), shown
    assert repr(Chat("plugin:org/name@revision")) == "Chat('plugin:org/name@revision', 0 messages)"


@pytest.mark.parametrize("model", [3, None, object(), ["plugin:a"]])
def test_a_chat_takes_a_string_or_a_backend(model: Any) -> None:
    with pytest.raises(ConfigError, match=r"A model is a string such as 'local:pocket' or a Backend"):
        Chat(model)


def test_a_class_with_stream_and_capabilities_is_a_backend() -> None:
    assert isinstance(ScriptedBackend(), Backend)
    assert not isinstance(object(), Backend)


def look() -> str:
    """Looks."""
    return "nothing"


USES: dict[str, Request] = {
    "chat": Request([User("a")]),
    "prompt": Request(prompt="a"),
    "tools": Request([User("a")], tools=[look]),
    "tool_choice": Request([User("a")], tools=[look], tool_choice="required"),
    "parallel_tool_calls": Request([User("a")], parallel_tool_calls=True),
    "output": Request([User("a")], output=int),
    "reasoning": Request([User("a")], reasoning="low"),
    "logprobs": Request([User("a")], logprobs=0),
    "seed": Request([User("a")], decoding=Sampling(seed=0)),
    "n": Request([User("a")], n=2),
    "beams": Request([User("a")], decoding=Beams()),
    "processors": Request([User("a")], decoding=Greedy(processors=(lambda logits, seen: logits,))),
    "contrast": Request([User("a")], decoding=Greedy(contrast=0.5)),
    "images": Request([User(Image(b""))]),
    "trace": Request([User("a")], trace=True),
}


@pytest.mark.parametrize("capability", USES)
def test_only_a_no_refuses(capability: str) -> None:
    request = USES[capability]
    for unknown_or_yes in (None, True):
        check_supported(request, Capabilities(**{capability: unknown_or_yes}), "It")
    with pytest.raises(Unsupported, match=f"It cannot honour '{capability}'") as caught:
        check_supported(request, Capabilities(**{capability: False}), "It")
    assert caught.value.param == capability


def test_a_plain_request_needs_nothing_but_chat() -> None:
    check_supported(Request([User("a")]), Capabilities(chat=True, **dict.fromkeys(USES.keys() - {"chat"}, False)), "It")


def test_an_observer_that_raises_is_logged_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    def observe(item: Request | AmbidexError) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR, "ambidex"):
        notify(observe, Request([User("a")]))
    assert "observer" in caplog.text
    notify(None, Request([User("a")]))


def test_options_are_compared_by_value_where_they_can_be(plugin: type[Any]) -> None:
    def one(value: Any) -> Callable[[], None]:
        backend = connect("plugin:b", folders=value)
        close: Callable[[], None] = backend.close
        return close

    values: list[Any] = [{"a": [1]}, {"a": [2]}, [1], (2,), {1}, object(), bytearray(b"a")]
    before = len(plugin.made)
    closes = [one(value) for value in values] + [one(value) for value in values]
    assert len(plugin.made) - before == len(values)
    for close in closes:
        close()
