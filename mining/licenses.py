"""Under which licence a repository's code is, and whether that lets its text be passed on."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from mining.artifacts import Run
from mining.rank import RANKING
from mining.shipped import shipped


@dataclass(frozen=True, slots=True)
class Licenses:
    """What is known of the licences of a run's repositories.

    ``of`` maps a repository to its SPDX identifier; one without is of unknown licence. With
    ``with_text`` the user answers for it that every text may be passed on.
    """

    of: Mapping[str, str]
    with_text: bool = False

    def allows(self, repository: str) -> bool:
        """Tell whether the code of a repository may be passed on, and not only pointed to."""
        license_id = self.of.get(repository)
        return self.with_text or (
            license_id is not None and license_id.lower() in redistributable()
        )


@cache
def redistributable() -> frozenset[str]:
    """Return the licences, in lower case, that let code be passed on.

    They are those with ``redistribution`` yes in ``data/licenses.csv`` (spdx_id, redistribution,
    reason); any other, and none, forbids it.
    """
    with shipped("data/licenses.csv").open(encoding="utf-8", newline="") as file:
        return frozenset(
            row["spdx_id"].lower() for row in csv.DictReader(file) if row["redistribution"] == "yes"
        )


def licenses_of(run: Run, *, with_text: bool = False) -> Licenses:
    """Return the licences that the search found; none are known of a local corpus."""
    if run.sidecar(RANKING) is None:
        return Licenses({}, with_text)
    ranking = run.read(RANKING, ["repository", "license"]).dropna()
    return Licenses(dict(zip(ranking["repository"], ranking["license"], strict=True)), with_text)
