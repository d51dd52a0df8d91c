"""Git's deltas: copies from a base, and new bytes between them.

Format: https://git-scm.com/docs/pack-format#_deltified_representation
"""

from typing import Final

from sidecar.pod.gitgate.pack import MAX_DIGITS, MORE, BadPack

BAD: Final = "the pack is damaged: a delta does not fit its base"
WHOLE_COPY: Final = 0x10000
"""What a copy of length zero means."""


def apply(base: bytes, delta: bytes, *, max_bytes: int) -> bytes:
    """The object that `delta` makes of `base`. Raises BadPack, also when it would be longer than `max_bytes`."""
    at, base_size = _number(delta, 0)
    at, size = _number(delta, at)
    if base_size != len(base):
        raise BadPack(BAD)
    if size > max_bytes:
        raise BadPack(f"a commit is larger than {max_bytes >> 20} MiB")
    made = bytearray()
    while at < len(delta):
        at, piece = _instruction(base, delta, at)
        made += piece
        if len(made) > size:
            raise BadPack(BAD)
    if len(made) != size:
        raise BadPack(BAD)
    return bytes(made)


def _number(delta: bytes, at: int) -> tuple[int, int]:
    number = 0
    for digit, byte in enumerate(delta[at : at + MAX_DIGITS]):
        number |= (byte & 0x7F) << (7 * digit)
        if not byte & MORE:
            return at + digit + 1, number
    raise BadPack(BAD)


def _instruction(base: bytes, delta: bytes, at: int) -> tuple[int, bytes]:
    """Where the next one begins, and the bytes that this one adds."""
    code = delta[at]
    if code & MORE:
        return _copy(base, delta, at)
    piece = delta[at + 1 : at + 1 + code]
    if not code or len(piece) != code:
        raise BadPack(BAD)
    return at + 1 + code, piece


def _copy(base: bytes, delta: bytes, at: int) -> tuple[int, bytes]:
    """Seven flags tell which bytes of a four-byte start and a three-byte length are there."""
    code, number = delta[at], 0
    at += 1
    for place in range(7):
        if code & (1 << place):
            if at >= len(delta):
                raise BadPack(BAD)
            number |= delta[at] << (8 * place)
            at += 1
    start, length = number & 0xFFFFFFFF, (number >> 32) or WHOLE_COPY
    if start + length > len(base):
        raise BadPack(BAD)
    return at, base[start : start + length]
