"""Passwords, tokens and keys that are a random text: the operator's, Prefect's, the forge's admin's, stamps'."""

from infra.cluster import registry_keys, secrets
from infra.cluster.rotation.ground import Ground
from infra.local.secrets import new_token


def rotate_operator_token(ground: Ground) -> None:
    ground.put({"operator-token": new_token() + "\n"})
    ground.restart("relay")


def rotate_prefect_login(ground: Ground) -> None:
    """Prefect's server first: whoever comes with the new login before it is there would be refused."""
    ground.put({"prefect-auth": f"x1:{new_token()}\n"})
    ground.restart("prefect", "worker", "worker-previews", "relay")


def rotate_registry_key(ground: Ground) -> None:
    """Logins that were given out before are refused after; a preview's is given anew when it is deployed."""
    ground.put(registry_keys.make({}))
    ground.restart("registry", "relay")


def rotate_stamp_keys(ground: Ground) -> None:
    """Nobody restarts: both sides read the file at each use; until it is new for both they share the old key."""
    before = secrets.completed(ground.whole)[secrets.STAMP_KEYS].split()[0]
    ground.put({secrets.STAMP_KEYS: f"{new_token()}\n{before}\n"})


def rotate_forge_admin_token(ground: Ground) -> None:
    ground.put({"forge-admin-token": new_token() + "\n"})
    ground.restart("forge")
