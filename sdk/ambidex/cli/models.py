"""`ambidex models`: the kinds of model strings, and the models that are on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint, entry_points

from ambidex.backend import ENTRY_POINT_GROUP

from .screen import Screen


@dataclass(frozen=True, slots=True)
class Kind:
    """A prefix of model strings."""

    prefix: str
    about: str
    package: str


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that can be loaded without the network; `bytes` on disk where that is known."""

    name: str
    where: str
    bytes: int | None


def models(*, as_json: bool) -> None:
    """Writes both lists to stdout."""
    kinds, local = registered(), on_this_machine()
    with Screen() as screen:
        if as_json:
            found = {"backends": [asdict(kind) for kind in kinds], "models": [asdict(model) for model in local]}
            screen.value(found)
            return
        screen.table("Model strings begin with", [(kind.prefix, kind.about, kind.package) for kind in kinds])
        if local:
            rows = [(model.name, _size(model.bytes), model.where) for model in local]
            screen.table("On this machine", rows)


def registered() -> list[Kind]:
    """What packages have registered as backends."""
    return [
        Kind(f"{entry.name}:", _about(entry), f"{entry.dist.name} {entry.dist.version}" if entry.dist else "")
        for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)
    ]


def on_this_machine() -> list[LocalModel]:
    """The model in the box, and those in the Hub's cache that have safetensors; for the backend `local`."""
    if not any(kind.prefix == "local:" for kind in registered()):
        return []
    return [LocalModel("local:pocket", "in the package", None), *_in_hub_cache()]


def _in_hub_cache() -> list[LocalModel]:
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        cache = scan_cache_dir()
    except (CacheNotFound, OSError, ValueError):  # the last where it is no folder
        return []
    found: list[LocalModel] = []
    for repo in sorted(cache.repos, key=lambda repo: repo.repo_id):
        names = {file.file_name for revision in repo.revisions for file in revision.files}
        if repo.repo_type == "model" and "config.json" in names and any(n.endswith(".safetensors") for n in names):
            found.append(LocalModel(f"local:{repo.repo_id}", "in the Hub's cache", repo.size_on_disk))
    return found


def _about(entry: EntryPoint) -> str:
    """The first line of the backend's docstring."""
    try:
        backend = entry.load()
    except Exception as problem:  # another package's import may raise anything
        return f"cannot be loaded: {type(problem).__name__}: {problem}"
    lines = (backend.__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""


def _size(count: int | None) -> str:
    if count is None:
        return ""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if size >= 999.5:
            size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"
