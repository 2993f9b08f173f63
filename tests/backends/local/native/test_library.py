"""Compiling the kernels: where they are kept, and what happens without a compiler."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ambidex import Greedy, Request, collect
from ambidex.errors import Unsupported
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.native import choice, library
from ambidex_backends.local.native.library import NoKernels
from ambidex_backends.local.native.model import NativeModel

build = library.load


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AMBIDEX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")


def test_the_library_is_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        library.find_compiler()
    except NoKernels as missing:
        pytest.skip(str(missing))
    build()
    (file,) = folder.iterdir()
    before = file.stat().st_mtime_ns
    monkeypatch.setattr(library, "_compile", None)
    build()
    assert [item.stat().st_mtime_ns for item in folder.iterdir()] == [before]


@pytest.mark.usefixtures("no_compiler", "folder")
def test_without_a_compiler_the_reason_is_said() -> None:
    with pytest.raises(NoKernels, match=r"there is no C compiler \(no-such-compiler\)"):
        build()


def test_a_compiler_that_fails_is_quoted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\necho 'it is broken' >&2\nexit 3\n")
    broken.chmod(0o700)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(NoKernels, match="it is broken"):
        build()
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_folder_that_others_write_to_is_not_trusted(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(NoKernels, match="others could write into the cache folder"):
        build()


@pytest.mark.usefixtures("no_compiler")
def test_without_kernels_a_model_is_computed_all_the_same(
    model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "kernels", build)
    monkeypatch.setattr(choice, "_say_once", lambda reason: None)
    name = str(model_folder("llama"))
    backend = LocalBackend(name, dtype="float32", device="cpu")
    request = Request(prompt="the rain", max_tokens=12, decoding=Greedy())
    slow = collect(backend.stream(request)).text
    backend.close()
    with pytest.raises(Unsupported, match="kernels=True cannot be had: there is no C compiler"):
        LocalBackend(name, device="cpu", kernels=True)
    with pytest.raises(Unsupported, match="quantize='int8' needs the kernels"):
        LocalBackend(name, device="cpu", quantize="int8")
    monkeypatch.undo()
    fast = LocalBackend(name, dtype="float32", device="cpu")
    assert collect(fast.stream(request)).text == slow
    fast.close()


def test_the_kernels_can_be_declined_and_demanded(model_folder: Callable[[str], Path]) -> None:
    name = str(model_folder("llama"))
    for kernels, expected in ((False, False), (None, True)):
        backend = LocalBackend(name, dtype="float32", device="cpu", kernels=kernels)
        assert isinstance(backend._runtime.engine._model, NativeModel) is expected or not has_compiler()
        backend.close()
    with pytest.raises(Unsupported, match="do not know the architecture 'gpt2'"):
        LocalBackend(str(model_folder("gpt2")), device="cpu", kernels=True)
    with pytest.raises(Unsupported, match="not in float16"):
        LocalBackend(name, device="cpu", dtype="float16", quantize="int4")


def has_compiler() -> bool:
    try:
        library.find_compiler()
    except NoKernels:
        return False
    return True


@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_quantised_models_answer_alike_alone_and_together(quantize: str, model_folder: Callable[[str], Path]) -> None:
    if not has_compiler():
        pytest.skip("there is no C compiler")
    backend = LocalBackend(str(model_folder("llama")), device="cpu", quantize=quantize)  # type: ignore[arg-type]  # a parameter
    requests = [Request(prompt=f"the rain {word}", max_tokens=20, decoding=Greedy()) for word in ("in", "and", "of")]
    alone = [collect(backend.stream(request)).text for request in requests]
    streams = [backend.stream(request) for request in requests]
    assert [collect(stream).text for stream in streams] == alone
    backend.close()
