"""Which secrets are rotated, in which order, what one notices of it, and which ones are not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from infra.cluster.rotation import bus, database, forge_key, logins, session_key
from infra.cluster.rotation.ground import Ground
from infra.local.errors import WrongUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """`needs` names a workload without which there is nothing of ours to rotate.

    `is_asked_for`: not with all the others, as something stays to be done after it.
    """

    name: str
    notice: str
    run: Callable[[Ground], None]
    needs: str | None = None
    is_asked_for: bool = False


ROTATIONS: Final = (
    Rotation(
        name="session-key",
        notice="nothing: sessions' tokens are renewed with the new key; the old one counts for 25 minutes more. "
        "People sign in to the pages again after that",
        run=session_key.rotate,
    ),
    Rotation(
        name="operator-token",
        notice="people sign in again, and x1 cluster connect is begun again",
        run=logins.rotate_operator_token,
    ),
    Rotation(
        name="bus",
        notice="sessions' events arrive some seconds late: NATS restarts, and pods get new users",
        run=bus.rotate,
    ),
    Rotation(
        name="postgres",
        notice="new connections are refused for some seconds, and come again",
        run=database.rotate,
        needs="postgres",
    ),
    Rotation(
        name="forge-key",
        notice="the forge restarts twice, a few seconds each",
        run=forge_key.rotate,
        needs="forge",
    ),
    Rotation(
        name="forge-admin-token",
        notice="the forge restarts, a few seconds",
        run=logins.rotate_forge_admin_token,
        needs="forge",
    ),
    Rotation(
        name="registry-key",
        notice="a preview's pod that moves to a node without its image cannot pull until it is deployed again",
        is_asked_for=True,
        run=logins.rotate_registry_key,
        needs="registry",
    ),
    Rotation(
        name="stamp-keys",
        notice="nothing: stamps are made with the key before, too, until the next rotation",
        run=logins.rotate_stamp_keys,
    ),
    Rotation(
        name="prefect",
        notice="activations that run have the old login, and end when they next tell Prefect something; "
        "the relay replaces them, and their sessions go on",
        run=logins.rotate_prefect_login,
    ),
)
NOT_COVERED: Final[Mapping[str, str]] = {
    "prefect-encryption-key": "Prefect cannot encrypt anew what it has encrypted; none of our secrets is there",
    "x1-named": "they are yours: change the Secret, and the relay reads them at their next use",
    "previews-tls": "an installation makes it anew in its last month; one that is brought is its issuer's",
    "previews-authority": "who trusts it must be told: remove the Secrets previews-authority and previews-tls "
    "from x1-gateway, and x1 cluster install makes both anew",
}
ELSEWHERE: Final[Mapping[str, str]] = {
    "postgres": "the database is not ours: change the password there and in `postgres.password_file`, then "
    "x1 cluster install --settings",
    "forge-key": "the App is at a forge that is not ours: make a key on its page, put it into `forge.key_file`, "
    "then x1 cluster install --settings; retire the old one after",
    "forge-admin-token": "only the embedded forge has one",
    "registry-key": "a registry that is not ours trusts its certificate: that one must be replaced there, too",
}
"""Why one is not covered where its `needs` is not there."""


def divided(
    rotations: Sequence[Rotation], has: Callable[[str], bool]
) -> tuple[list[Rotation], dict[str, str]]:
    """Those that can be done here; and all that are not covered, with the reasons."""
    here = [each for each in rotations if each.needs is None or has(each.needs)]
    elsewhere = {each.name: ELSEWHERE[each.name] for each in rotations if each not in here}
    return here, {**elsewhere, **NOT_COVERED}


def chosen(names: Sequence[str]) -> list[Rotation]:
    """All that nothing is left to do after, when none is named. Raises WrongUsage."""
    known = {each.name: each for each in ROTATIONS}
    unknown = [name for name in names if name not in known]
    if unknown:
        reason = "; ".join(f"{name}: {NOT_COVERED.get(name, 'no such secret')}" for name in unknown)
        raise WrongUsage(
            expected=f"of {', '.join(known)}", came=reason, then="x1 cluster rotate --help"
        )
    return [
        each for each in ROTATIONS if each.name in names or (not names and not each.is_asked_for)
    ]
