"""The four images: built from one Dockerfile with buildah or docker, and pushed where the nodes pull from."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.local.errors import AskedFailed, NotThere

PROJECT: Final = Path(__file__).resolve().parents[2]
NAMES: Final = ("sidecar", "agent", "flow", "control")
BUILDERS: Final = ("buildah", "docker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    name: str
    reference: str
    size_bytes: int


def build(builder: str, prefix: str, tag: str, *, push: bool, insecure: bool) -> list[Image]:
    """Each step's output goes to standard error. Raises NotThere, AskedFailed."""
    if shutil.which(builder) is None:
        raise NotThere(
            expected=f"{builder} on PATH",
            came="there is none",
            then=f"x1 cluster images --builder {next(b for b in BUILDERS if b != builder)}",
        )
    return [_one(builder, name, prefix, tag, push=push, insecure=insecure) for name in NAMES]


def _one(builder: str, name: str, prefix: str, tag: str, *, push: bool, insecure: bool) -> Image:
    reference = f"{prefix}{name}:{tag}"
    file = str(PROJECT / "infra" / "images" / "Dockerfile")
    words = ["bud", "--layers"] if builder == "buildah" else ["build"]
    _run([builder, *words, "-f", file, "--target", name, "-t", reference, str(PROJECT)])
    if push:
        unsafe = ["--tls-verify=false"] if insecure and builder == "buildah" else []
        _run([builder, "push", *unsafe, reference])
    return Image(name=name, reference=reference, size_bytes=_size(builder, reference))


def _size(builder: str, reference: str) -> int:
    """Unpacked, as the builder counts it; 0 when it does not say."""
    words = (
        ["images", "--json", reference] if builder == "buildah" else ["image", "inspect", reference]
    )
    said = subprocess.run([builder, *words], capture_output=True, text=True, check=False).stdout
    try:
        found = json.loads(said)[0]
    except (ValueError, IndexError):
        return 0
    return (
        int(found.get("Size") or found.get("size_bytes") or 0)
        if builder == "docker"
        else _bytes(found)
    )


def _bytes(found: dict[str, object]) -> int:
    """As buildah prints it: `428 MB`."""
    number, _, unit = str(found.get("size", "0 B")).partition(" ")
    return int(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}.get(unit, 0))


def _run(argv: Sequence[str]) -> None:
    sys.stderr.write(f"· {' '.join(argv[:2])} … {argv[-2] if argv[1] != 'push' else argv[-1]}\n")
    done = subprocess.run(argv, stdout=sys.stderr, stderr=sys.stderr, check=False)
    if done.returncode:
        raise AskedFailed(
            expected=f"{' '.join(argv)} to be done",
            came=f"exit {done.returncode}; its output is above",
            then="mend what it says and try again",
        )
