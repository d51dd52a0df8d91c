"""Files in the working tree: read, written, edited; never outside the workspace, whatever a link says."""

import json
import os
from pathlib import Path
from typing import Any

from sidecar.domain.errors import InvalidArguments
from sidecar.scripted.errors import StepFailed
from sidecar.wire.yaml_lines import Document


def inside(workspace: Path, *parts: str) -> Path:
    """The path below the workspace. Raises StepFailed for one that leads out of it."""
    root = workspace.resolve()
    path = root.joinpath(*parts).resolve()
    if not path.is_relative_to(root):
        raise StepFailed("outside", f"{'/'.join(parts)} leads out of the workspace")
    return path


def read(path: Path, form: str) -> Any:
    """Raises StepFailed: `missing`, or `malformed`."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise StepFailed("missing", f"{path.name} cannot be read: {error}") from error
    try:
        match form:
            case "yaml":
                return Document(text).value
            case "json":
                return json.loads(text)
            case _:
                return text
    except (InvalidArguments, ValueError) as error:
        raise StepFailed("malformed", f"{path.name} is not {form}: {error}") from error


def write(path: Path, content: str, *, is_executable: bool) -> str:
    """Raises StepFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(content)
        temporary.chmod(0o755 if is_executable else 0o644)
        os.replace(temporary, path)  # noqa: PTH105 - the same, and plain
    except OSError as error:
        raise StepFailed("unwritable", f"{path.name} cannot be written: {error}") from error
    return f"{len(content.splitlines())} lines"


def edit(path: Path, find: str, replace: str) -> str:
    """Replaces what stands exactly once. An edit that was made already, before a crash, is left as it is.

    Raises StepFailed: `missing` when it stands nowhere, `ambiguous` when more than once.
    """
    text = str(read(path, "text"))
    count = text.count(find) if find else 0
    if replace and replace in text and count == text.count(replace) * replace.count(find):
        return "was made already"
    if count != 1:
        reason, came = ("ambiguous", f"{count} times") if count else ("missing", "nowhere")
        raise StepFailed(reason, f"expected once in {path.name}, found {came}: {find[:200]!r}")
    write(path, text.replace(find, replace), is_executable=os.access(path, os.X_OK))
    return "replaced"
