"""What builds are called, so that the same build has the same name whoever asks for it."""

import hashlib
import json
from typing import Final

from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders.image_source import ImageSource

_DIGEST: Final = 12


def tag_of(revision: str, spec: PreviewSpec) -> str:
    """`<revision>-<digest>` of what decides the image: the rest of the spec may change without a new build."""
    decides = [spec.dockerfile, spec.context, sorted(spec.args.items())]
    return f"{revision}-{_short(json.dumps(decides))}"


def job_of(source: ImageSource, tag: str) -> str:
    """By operation, so that another run for it finds the Job that the first one made."""
    return f"build-{_short(f'{source.operation_id} {source.image}:{tag}')}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
