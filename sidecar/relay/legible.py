"""Text that the ledger can hold: PostgreSQL takes neither NUL nor half a surrogate pair, agents print both."""

import re
from typing import Any, Final

REPLACEMENT: Final = "\ufffd"
_ILLEGIBLE: Final = re.compile("[\x00\ud800-\udfff]")
_SUSPECT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|\x00")
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def is_suspect(body: bytes) -> bool:
    """Whether some JSON may hold such text: a cheap look before the thorough one."""
    return _SUSPECT.search(body) is not None


def legible(value: Any) -> Any:
    """The same JSON value with U+FFFD in place of what cannot be stored."""
    if isinstance(value, str):
        return _ILLEGIBLE.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {legible(key): legible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [legible(item) for item in value]
    return value


def legible_json(body: bytes) -> bytes:
    """NUL escapes replaced in JSON text; half pairs are left to the parser, which refuses them."""
    return _NUL_ESCAPE.sub(rb"\1\\ufffd", body)
