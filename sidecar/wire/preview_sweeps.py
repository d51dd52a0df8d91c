"""What a sweep asks the relay: which previews should stand, and what becomes of what it found."""

from pydantic import Field

from sidecar.wire.model import WireModel

MANY = 10_000


class ServedRequest(WireModel):
    """POST /internal/previews/served, with the activation token; asked before it is looked."""

    nonce: str


class ServedPreview(WireModel):
    preview_id: str
    revision: str


class PreviewRevision(WireModel):
    preview_id: str
    revision: str


class ServedAnswer(WireModel):
    """Previews that serve a revision and that no operation is changing."""

    previews: list[ServedPreview]


class SweepRequest(WireModel):
    """POST /internal/previews/sweep, with the activation token.

    `present` are all previews of which anything was found; `missing` should serve their revision, and do not.
    `revisions` are all of which anything was found, `building` the operations for which builds were found.
    """

    nonce: str
    present: list[str] = Field(default=[], max_length=MANY)
    missing: list[ServedPreview] = Field(default=[], max_length=MANY)
    revisions: list[PreviewRevision] = Field(default=[], max_length=MANY)
    building: list[str] = Field(default=[], max_length=MANY)


class SweepAnswer(WireModel):
    """Whoever swept removes what is here, but for previews that operations, begun already, take care of.

    `strangers` are in no ledger, `unfinished` never were ready, nobody waits for the builds of `over`; operations
    have `released` and `deployed_again`.
    """

    strangers: list[str] = []
    released: list[str] = []
    deployed_again: list[str] = []
    unfinished: list[PreviewRevision] = []
    over: list[str] = []
