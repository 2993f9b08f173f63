"""Templates that nobody has looked at: they reach nothing but their data, and they end."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.templates.attacks import BOMBS, ESCAPES

from ambidex import template_limits
from ambidex.errors import TemplateError, TemplateLimitExceeded
from ambidex.template_sandbox import CompiledTemplate

REPOSITORY = Path(__file__).resolve().parents[3]
USED = 0.25
"""Seconds of the processor, the goal itself."""

SECONDS = 2.0
"""By the clock, for a machine that does other things too."""

MEMORY = 32 * 1024
_INSIDES = re.compile(r"<(class|function|module|bound|built-in|generator|_?Sandbox)| object at 0x|root:|site-packages")

_CHILD = """
import json, sys, time
from ambidex.errors import TemplateError, TemplateLimitExceeded
from ambidex.template_sandbox import CompiledTemplate

given = {"messages": [{"role": "user", "content": "hi"}]}
CompiledTemplate("{% for m in messages %}{{ m|tojson }}{{ m.content ~ 1 }}{% endfor %}").render(given)

def memory(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name))

found = {}
for name, source in json.load(sys.stdin).items():
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    before, start, used = memory("VmRSS"), time.perf_counter(), time.thread_time()
    try:
        CompiledTemplate(source).render(given)
        ending = "none"
    except TemplateError as error:
        ending = type(error).__name__
    seconds = time.perf_counter() - start
    found[name] = (ending, seconds, time.thread_time() - used, memory("VmHWM") - before)
print(json.dumps(found))
"""


def given() -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "/etc/passwd"}], "bos_token": "<s>"}


@pytest.mark.parametrize("source", ESCAPES)
def test_a_template_reaches_nothing_but_its_data(source: str) -> None:
    variables = given()
    loaded = set(sys.modules)
    try:
        text = CompiledTemplate(source).render(variables)
    except TemplateError as error:
        text = re.sub("'(function|generator)' object", "", str(error))
    assert not _INSIDES.search(text)
    assert variables == given()
    assert not {name for name in set(sys.modules) - loaded if not name.startswith(("jinja2", "encodings"))}


def test_there_are_as_many_as_promised() -> None:
    assert len(set(ESCAPES)) >= 60
    assert len(BOMBS) >= 20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured by Linux's own counters")
def test_a_template_without_end_is_stopped_soon_and_small() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps(BOMBS),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={"PYTHONPATH": ":".join(sys.path)},
        timeout=120,
        check=True,
    )
    found: dict[str, tuple[str, float, float, int]] = json.loads(done.stdout)
    assert set(found) == set(BOMBS)
    for name, (ending, seconds, used, memory) in found.items():
        assert ending == "TemplateLimitExceeded", name
        assert seconds < SECONDS, (name, seconds)
        assert used < USED, (name, used)
        assert memory < MEMORY, (name, memory)


def test_limits_grow_with_what_is_given() -> None:
    template = CompiledTemplate(
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content|trim }}"
        "{% for c in m.tags %}{{ c }}{% endfor %}{% endfor %}"
    )
    long = {"messages": [{"role": "user", "content": "word " * 2000, "tags": list("abcdef")} for _ in range(400)]}
    assert len(template.render(long)) > 3_900_000
    for source in ("{{ 'a' * 3000000 }}", "{% for i in range(49000) %}{{ i|string|upper|trim }}{% endfor %}"):
        with pytest.raises(TemplateLimitExceeded):
            CompiledTemplate(source).render(given())


def test_what_the_garbage_of_a_whole_program_takes_is_not_the_template_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_limits, "MAX_SECONDS", 0.02)

    def spend(what: Callable[[], object]) -> None:
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            what()
        template_limits.step(100)

    with template_limits.budget(None):
        spend(gc.collect)
        with pytest.raises(TemplateLimitExceeded, match="more time"):
            spend(lambda: sum(range(1000)))
    with template_limits.budget(None), pytest.raises(TemplateLimitExceeded, match="more time"):
        spend(lambda: gc.collect(0))  # the garbage is its own


def test_collections_beside_other_threads_that_render_take_no_time_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of callbacks that changes under a collection makes it leave one out; so a rendering never changes it."""
    callbacks = list(gc.callbacks)
    with template_limits.budget(None):
        assert gc.callbacks == callbacks
    monkeypatch.setattr(template_limits, "MAX_SECONDS", 0.05)
    over = threading.Event()

    def others() -> None:
        while not over.is_set():
            with template_limits.budget(None):
                pass

    threads = [threading.Thread(target=others) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            with template_limits.budget(None):
                gc.collect()
                template_limits.step(100)
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_text_that_grows_with_each_message_is_no_attack() -> None:
    source = (
        "{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t ~ m.content %}{% endfor %}{{ ns.t }}"
    )
    messages = [{"role": "user", "content": "x" * 1000} for _ in range(500)]
    assert len(CompiledTemplate(source).render({"messages": messages})) == 500_000


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ {'b': 1, 'a': 'ü<>&'}|tojson }}", '{"b": 1, "a": "ü<>&"}'),
        ("{{ {'b': 1, 'a': 2}|tojson(sort_keys=true, indent=1) }}", '{\n "a": 2,\n "b": 1\n}'),
        ("{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "13"),
        ("{% for x in 'ab' %}{{ loop.index }}{{ loop.length }}{{ loop.last }} {% endfor %}", "12False 22True "),
        ("{% generation %}a{% set x = 1 %}{% endgeneration %}b", "ab"),
        ("{{ 'a' in ['a', 'b'] and 'c' not in 'ab' and 1 < 2 < 3 }}", "True"),
        ("{% set ns = namespace(a=1) %}{% for x in [1, 2] %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}", "4"),
        ("{{ '%05d|%-4s|' % (7, 'x') }}{{ '{:>4}'.format('y') }}", "00007|x   |   y"),
        ("{{ dict(a=1, **{'b': 2})|items|list }}", "[('a', 1), ('b', 2)]"),
        ("{{ range(3)|map('string')|join(', ') }}{{ [[1], [2]]|sum(start=[]) }}", "0, 1, 2[1, 2]"),
        ("{{ strftime_now('%Y') | length }}", "4"),
    ],
)
def test_what_templates_use_works(source: str, expected: str) -> None:
    assert CompiledTemplate(source).render({}) == expected


def test_a_template_says_why_it_fails() -> None:
    with pytest.raises(TemplateError, match="only two roles here"):
        CompiledTemplate("{{ raise_exception('only two roles here') }}").render({})
    with pytest.raises(TemplateError, match="line 2"):
        CompiledTemplate("\n{% if %}")
