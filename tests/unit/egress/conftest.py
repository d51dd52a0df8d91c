import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from egress_ground import Ground


@pytest.fixture
def ground():
    return Ground(key=Ed25519PrivateKey.generate())
