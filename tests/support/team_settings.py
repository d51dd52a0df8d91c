"""The settings of a team's installation: those of the example, filled in for what the team has outside."""

from pathlib import Path
from typing import Any

import yaml
from clusters import image
from embedded_forge import APP_ID, app_key
from team_outside import DOMAIN, REGISTRY, Team

from infra.cluster.rendering import MANIFESTS

BED = Path(__file__).resolve().parents[1] / "cluster" / "bed"
EXAMPLE = MANIFESTS / "overlays" / "production" / "settings.example.yaml"
PREVIEWS = "previews.team-apps.test"
INGRESS = "ingress"
"""The namespace of the one controller that the test bed has, for pages and previews."""
INSIDE = '[registry."registry.x1-system.svc:5000"]\n  http = true\n'
"""Of the test bed's buildkitd.toml, for a registry that this overlay has not."""


def write_settings(team: Team, folder: Path) -> Path:
    """Beside the files that it names."""
    bed = yaml.safe_load((BED / "settings.yaml").read_text())
    example = yaml.safe_load(EXAMPLE.read_text())
    for name, text in {
        "corporate-ca.pem": team.authority.certificate,
        "github-app.pem": app_key().private,
        "postgres-password": f"{team.password}\n",
        "buildkitd.toml": (BED / "buildkitd.toml").read_text().replace(INSIDE, ""),
        "settings.yaml": yaml.safe_dump({**example, **_own(team, example, bed)}),
    }.items():
        (folder / name).write_text(text)
    return folder / "settings.yaml"


def _own(team: Team, example: dict[str, Any], bed: dict[str, Any]) -> dict[str, Any]:
    prefix, tag = image("").rsplit(":", 1)
    return {
        "images": {"prefix": prefix, "tag": tag},
        "public_url": f"https://x1.{DOMAIN}",
        "prefect_url": f"https://prefect.{DOMAIN}",
        "pages_from": INGRESS,
        "node_networks": ["10.250.0.2/32"],
        "authorities_file": "corporate-ca.pem",
        "forge": {
            **example["forge"],
            "host": f"github.{DOMAIN}",
            "api_url": f"https://github.{DOMAIN}",
            "app_id": APP_ID,
        },
        "previews": {
            "domain": PREVIEWS,
            "gateway_class": "traefik",
            "gateway_service": f"traefik.{INGRESS}.svc.cluster.local",
            "gateway_port": 8443,
            "certificate": "local",
        },
        "registry": {"host": REGISTRY},
        "postgres": {
            **example["postgres"],
            "host": f"postgres.{DOMAIN}",
            "networks": [f"{team.addresses['postgres']}/32"],
        },
        "builds": {
            "buildkitd_file": "buildkitd.toml",
            "buildkit_image": bed["builds"]["buildkit_image"],
        },
        "open_networks": [
            *bed["open_networks"],
            *({"cidr": f"{team.addresses[each]}/32"} for each in ("forge", "registry")),
        ],
    }
