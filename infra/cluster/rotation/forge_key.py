"""The App's key at the embedded forge, as at GitHub: the new key is added, then used, then the old one goes."""

from typing import Final

from infra.cluster.rotation.ground import Ground
from infra.local.secrets import new_forge_key

PRIVATE: Final = "forge-key.pem"
PUBLIC: Final = "forge-public.pem"


def rotate(ground: Ground) -> None:
    private, public = new_forge_key()
    ground.put({PUBLIC: ground.whole[PUBLIC].strip() + "\n" + public})
    ground.restart("forge")
    ground.put({PRIVATE: private})
    ground.restart("relay")
    ground.put({PUBLIC: public})
    ground.restart("forge")
