"""The base of every model that travels: unknown fields are ignored, so that versions may differ."""

from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class StrictModel(BaseModel):
    """For what people and agents write by hand: an unknown field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)
