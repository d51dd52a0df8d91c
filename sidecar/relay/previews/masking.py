"""What a repository's previews may hold in secret is in no log of theirs, whichever run brings it.

A run masks what it was given itself. One that verifies is given nothing, and reads the app's log all the same.
"""

from sidecar.domain.ids import Repository
from sidecar.redaction import Redactor
from sidecar.relay.secret_names import declared_for_previews
from sidecar.settings import RelaySettings


def redactor(settings: RelaySettings, repo: Repository) -> Redactor:
    made = Redactor()
    for name in declared_for_previews(settings.secrets_dir, settings.preview_secrets, repo):
        for line in (settings.secrets_dir / name).read_text().splitlines():
            made.learn(line.strip())
    return made
