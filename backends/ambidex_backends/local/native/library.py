"""The compiled kernels: built once with the machine's C compiler, kept on the disk, loaded by ctypes.

The cache is a folder of the user's own; a library's name is the hash of the source, the compiler and the processor, so
that another of any of these builds anew.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES = sorted(FOLDER.glob("*.c"))
FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC"]
COMPILERS = ("cc", "gcc", "clang")
SECONDS = 300.0

_log = logging.getLogger("ambidex")


class NoKernels(Exception):
    """The kernels cannot be had on this machine; the message says why."""


_loaded: list[ctypes.CDLL] = []
"""The library, once this process has it."""


def kernels() -> ctypes.CDLL:
    """The library, compiled if it is not yet there. Raises `NoKernels`."""
    if not _loaded:
        _loaded.append(load())
    return _loaded[0]


def loaded() -> ctypes.CDLL | None:
    """The library if this process has it already; nothing is compiled."""
    return _loaded[0] if _loaded else None


def load() -> ctypes.CDLL:
    """Compiles the library if it is not on the disk, and loads it. Raises `NoKernels`."""
    compiler = find_compiler()
    folder = cache_folder()
    path = folder / f"kernels-{_fingerprint(compiler)}.so"
    if not path.exists():
        if sys.stderr.isatty():
            print("Compiling Ambidex's kernels, once on this machine ...", file=sys.stderr)
        _compile(compiler, path)
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise NoKernels(f"{path} cannot be loaded: {error}") from None
    library.forward.restype = None
    library.draw.restype = library.peak.restype = ctypes.c_int64
    return library


def state() -> str:
    """Whether the kernels are there, without compiling them."""
    try:
        compiler = find_compiler()
        path = cache_folder() / f"kernels-{_fingerprint(compiler)}.so"
    except NoKernels as missing:
        return f"none: {missing}"
    return "compiled" if path.exists() else f"to be compiled with {compiler}"


def find_compiler() -> str:
    """The C compiler: `CC`, else the first that is there. Raises `NoKernels`."""
    wanted = os.environ.get("CC", "").split()
    for name in wanted[:1] or COMPILERS:
        if found := shutil.which(name):
            return found
    raise NoKernels(f"there is no C compiler ({' '.join(wanted[:1]) or ', '.join(COMPILERS)})")


def cache_folder() -> Path:
    """Where compiled kernels are kept: in `AMBIDEX_CACHE`, else in the user's cache folder. Raises `NoKernels`."""
    named = os.environ.get("AMBIDEX_CACHE")
    base = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ambidex"
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = base.stat()
    except (OSError, RuntimeError) as error:
        raise NoKernels(f"the cache folder {base} cannot be used: {error}") from None
    if os.name == "posix" and (facts.st_uid != os.getuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise NoKernels(f"others could write into the cache folder {base}; set AMBIDEX_CACHE to a folder of your own")
    return base


def _compile(compiler: str, path: Path) -> None:
    """Builds the library beside `path` and moves it there, so that no other process sees half of it."""
    native = "-mcpu=native" if platform.machine().lower() in ("arm64", "aarch64") else "-march=native"
    problem = ""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / path.name
        for extra in ([native, "-fopenmp"], [native]):  # Apple's clang has no OpenMP: one thread then
            command = [compiler, *FLAGS, *extra, "-o", str(built), *map(str, SOURCES), "-lm"]
            try:
                run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            except (OSError, subprocess.SubprocessError) as error:
                raise NoKernels(f"{compiler} failed: {type(error).__name__}") from None
            if run.returncode == 0:
                built.replace(path)
                _log.debug("Compiled %s with %s", path, " ".join([compiler, *FLAGS, *extra]))
                return
            problem = (run.stderr.strip().splitlines() or ["no message"])[0]
    raise NoKernels(f"{compiler} cannot compile the kernels: {problem}")


def _fingerprint(compiler: str) -> str:
    """Differs wherever the compiled library could."""
    try:
        run = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=SECONDS, check=False)
        version = run.stdout
    except (OSError, subprocess.SubprocessError):
        version = ""
    parts = [
        *(source.read_text("utf-8") for source in [*SOURCES, *sorted(FOLDER.glob("*.h"))]),
        " ".join(FLAGS),
        compiler,
        version,
        platform.machine(),
        _processor(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
