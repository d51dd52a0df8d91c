"""Amounts of processor, memory and disk as Kubernetes writes them: `250m`, `512Mi`, `1.5G`, `2e3`."""

import re
from decimal import Decimal
from typing import Final

_SUFFIXES: Final = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
}
_QUANTITY: Final = re.compile(
    r"^\+?([0-9]{1,18}(?:\.[0-9]{1,9})?)(n|u|m|k|M|G|T|Ki|Mi|Gi|Ti|[eE][0-9]{1,2})?$"
)
"""Bounded: an amount of a thousand digits is nobody's need."""


def amount(text: str | float) -> Decimal:
    """In whole processors or bytes. Raises ValueError.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    found = _QUANTITY.match(str(text))
    if found is None:
        raise ValueError(f"{str(text)[:40]!r} is no amount such as 250m or 512Mi")
    number, suffix = Decimal(found[1]), found[2] or ""
    if suffix[:1] in ("e", "E"):
        return number * Decimal(10) ** int(suffix[1:])
    return number * _SUFFIXES[suffix]
