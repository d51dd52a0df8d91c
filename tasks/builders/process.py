"""The process builder: a checkout of exactly one revision, and the spec's own build command run in it.

For one machine without a container engine. Hostile code runs here as this user, so what it gets is little: a
directory and a home of its own, and no secret. A finished build is found again by its marker; an unfinished one
is never reused, because a killed flow's build may still write to it.
"""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders.commands import Say, run
from tasks.builders.errors import BuildFailed, FetchFailed

FETCH_SECONDS: Final = 120.0
BUILD_SECONDS: Final = 900.0
GIT: Final = (
    "git",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "protocol.allow=never",
    "-c",
    "protocol.http.allow=always",
    "-c",
    "protocol.https.allow=always",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`git_token` reads this one repository; it never appears in an argument or a URL."""

    git_url: str
    repo: str
    branch: str
    revision: str
    git_token: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the builds of one preview are: `root` is the builds directory."""

    root: Path
    preview_id: str

    @property
    def folder(self) -> Path:
        return self.root / self.preview_id

    def marker(self, revision: str) -> Path:
        return self.folder / f"{revision}.done"


def finished(place: Place, revision: str, spec: PreviewSpec) -> Path | None:
    """The tree of an earlier build of the same revision by the same spec."""
    try:
        told = json.loads(place.marker(revision).read_text())
        tree = place.folder / str(told["directory"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tree if told.get("spec") == _digest(spec) and tree.is_dir() else None


async def fetch(place: Place, source: Source, say: Say) -> Path:
    """A fresh checkout of exactly the revision, without hooks. Raises FetchFailed."""
    name = f"{source.revision[:12]}-{uuid.uuid4().hex[:8]}"
    tree, home = place.folder / name, place.folder / f"{name}.home"
    await asyncio.to_thread(_make, tree, home)
    environment = {**_plain(home), **_credentials(source)}
    url = f"{source.git_url.rstrip('/')}/{source.repo}"
    wanted = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
    try:
        await run([*GIT, "init", "--quiet"], cwd=tree, environment=environment, seconds=30, say=say)
        await _git(tree, environment, say, *wanted, "--depth=1", "--", url, source.revision)
        await _git(
            tree, _plain(home), say, "checkout", "--quiet", "--detach", source.revision, "--"
        )
    except BuildFailed as error:
        await asyncio.to_thread(_remove, tree, home)
        raise FetchFailed(
            f"git could not fetch {source.repo} at {source.revision[:8]}: {error}", error.lines
        ) from error
    return tree


async def build(place: Place, revision: str, tree: Path, spec: PreviewSpec, say: Say) -> Path:
    """Runs the spec's build command in the tree and marks it as done. Raises BuildFailed."""
    cwd = inside(tree, spec.directory)
    if spec.build:
        await run(
            spec.build,
            cwd=cwd,
            environment={**spec.env, **_plain(_home(tree))},
            seconds=BUILD_SECONDS,
            say=say,
        )
    await asyncio.to_thread(_mark, place, revision, tree, spec)
    return tree


def inside(tree: Path, directory: str) -> Path:
    """`directory` of the checkout, symbolic links followed. Raises BuildFailed when that leads out of it."""
    root, found = tree.resolve(), (tree / directory).resolve()
    if not found.is_relative_to(root) or not found.is_dir():
        raise BuildFailed(f"entrypoint.path {directory!r} is not a directory of the repository")
    return found


def tidy(place: Place, keep: Path | None) -> None:
    """Removes the preview's other builds; with `keep` None all of them."""
    if not place.folder.is_dir():
        return
    kept = {keep.name, f"{keep.name}.home"} if keep else set[str]()
    for entry in place.folder.iterdir():
        if entry.is_dir() and entry.name not in kept:
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.suffix == ".done" and not _leads_to(entry, kept):
            entry.unlink(missing_ok=True)
    if keep is None:
        shutil.rmtree(place.folder, ignore_errors=True)


def _leads_to(marker: Path, kept: set[str]) -> bool:
    try:
        return str(json.loads(marker.read_text()).get("directory")) in kept
    except (OSError, ValueError, AttributeError):
        return False


async def _git(tree: Path, environment: dict[str, str], say: Say, *arguments: str) -> None:
    await run([*GIT, *arguments], cwd=tree, environment=environment, seconds=FETCH_SECONDS, say=say)


def _plain(home: Path) -> dict[str, str]:
    """All that a build sees: nothing of this process's environment but where programs are."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PYTHONUNBUFFERED": "1",
    }


def _credentials(source: Source) -> dict[str, str]:
    pair = f"x-access-token:{source.git_token.get_secret_value()}".encode()
    header = f"Authorization: Basic {base64.b64encode(pair).decode()}"
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{source.git_url.rstrip('/')}/.extraHeader",
        "GIT_CONFIG_VALUE_0": header,
    }


def _home(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}.home")


def _make(tree: Path, home: Path) -> None:
    tree.mkdir(parents=True)
    home.mkdir()


def _remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def _mark(place: Place, revision: str, tree: Path, spec: PreviewSpec) -> None:
    marker = place.marker(revision)
    whole = marker.with_name(f".{tree.name}.tmp")
    whole.write_text(json.dumps({"directory": tree.name, "spec": _digest(spec)}))
    whole.replace(marker)


def _digest(spec: PreviewSpec) -> str:
    return hashlib.sha256(repr(spec).encode()).hexdigest()
