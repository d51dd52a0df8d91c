"""A stamp: proof that a request for a preview's host came to a service of ours, and not to any app.

An Ingress that leads `/` to a revision leads PLACE + revision to that service, so a stamp proves that the
controller has taken just this version of the Ingress. What it is made of: the host and the revision, so that no
other preview's will do; a number that is used once, so that no earlier one will; a key that no app can read.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

PLACE: Final = "/.well-known/x1flows/revision/"
MAX_NONCE: Final = 64


def stamp(key: str, *, host: str, revision: str, nonce: str) -> str:
    """`host` without a port."""
    told = f"{host.lower()}\n{revision}\n{nonce}"
    return hmac.new(key.encode(), told.encode(), hashlib.sha256).hexdigest()


def is_stamped(text: str, keys: Sequence[str], *, host: str, revision: str, nonce: str) -> bool:
    """Whether one of the lines is a stamp by one of the keys: for a while after a rotation there are two."""
    wanted = [stamp(key, host=host, revision=revision, nonce=nonce) for key in keys]
    lines = [line.encode() for line in text.split()]
    return any(hmac.compare_digest(each.encode(), line) for each in wanted for line in lines)
