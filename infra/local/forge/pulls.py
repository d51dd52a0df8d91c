"""Pull requests: a head, a base and whether it was merged, one JSON file a repository."""

import json
from pathlib import Path
from typing import Any

from infra.local.forge.repositories import NotFound, Repository


class Pulls:
    def all(self, repository: Repository) -> list[dict[str, Any]]:
        file = _file(repository)
        return json.loads(file.read_text()) if file.exists() else []

    def get(self, repository: Repository, number: int) -> dict[str, Any]:
        for pull in self.all(repository):
            if pull["number"] == number:
                return pull
        raise NotFound(f"pull request {number}")

    def open(self, repository: Repository, asked: dict[str, Any], head_sha: str) -> dict[str, Any]:
        pulls = self.all(repository)
        pull = {
            "number": len(pulls) + 1,
            "state": "open",
            "title": str(asked.get("title", "")),
            "body": str(asked.get("body") or ""),
            "head": {"ref": asked["head"], "sha": head_sha},
            "base": {"ref": asked["base"]},
            "merged": False,
        }
        self._save(repository, [*pulls, pull])
        return pull

    def merged(self, repository: Repository, number: int, sha: str) -> None:
        change = {"state": "closed", "merged": True, "merge_commit_sha": sha}
        self._save(
            repository,
            [pull | change if pull["number"] == number else pull for pull in self.all(repository)],
        )

    def _save(self, repository: Repository, pulls: list[dict[str, Any]]) -> None:
        draft = _file(repository).with_suffix(".draft")
        draft.write_text(json.dumps(pulls))
        draft.replace(_file(repository))


def _file(repository: Repository) -> Path:
    return repository.path / "x1-pulls.json"
