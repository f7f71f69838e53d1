"""Whole numbers by hash, in some twenty bytes each: for what is counted by the million."""

from __future__ import annotations

from operator import add

import numpy as np
import numpy.typing as npt

_FEW = 500

Numbers = npt.NDArray[np.int64]


class HashTable:
    """Sums of ``columns`` whole numbers for each hash (see judges.short_hash); of none, a set.

    Only the latest hashes are in a dictionary. Once they are an eighth of all, they go to sorted
    arrays, with 8 bytes a hash and 8 a number, where a dictionary takes a hundred and more. What
    it holds does not depend on the order in which it was added.
    """

    def __init__(self, columns: int = 0) -> None:
        """Begin with nothing."""
        self._latest: dict[int, tuple[int, ...]] = {}
        self._hashes: Numbers = np.empty(0, np.int64)
        self._sums: Numbers = np.empty((0, columns), np.int64)

    def __contains__(self, hash_: int) -> bool:
        """Tell whether something was added by this hash."""
        if hash_ in self._latest:
            return True
        place = int(self._hashes.searchsorted(hash_))
        return place < len(self._hashes) and int(self._hashes[place]) == hash_

    def add(self, hash_: int, *numbers: int) -> None:
        """Add a number to each column of a hash."""
        before = self._latest.get(hash_)
        self._latest[hash_] = numbers if before is None else tuple(map(add, before, numbers))
        if len(self._latest) > max(_FEW, len(self._hashes) // 8):
            self._fold()

    def sums(self) -> tuple[Numbers, Numbers]:
        """Return all hashes, in order, and their sums: a row for each hash."""
        self._fold()
        return self._hashes, self._sums

    def _fold(self) -> None:
        latest = np.fromiter(self._latest, np.int64, len(self._latest))
        numbers = np.array(list(self._latest.values()), np.int64)
        numbers = numbers.reshape(len(latest), self._sums.shape[1])
        self._latest = {}
        hashes = np.concatenate([self._hashes, latest])
        self._hashes, places = np.unique(hashes, return_inverse=True)
        sums = np.zeros((len(self._hashes), numbers.shape[1]), np.int64)
        np.add.at(sums, places, np.concatenate([self._sums, numbers]))
        self._sums = sums


def places_of(wanted: Numbers, hashes: Numbers) -> Numbers:
    """Return where each wanted hash is among ``hashes``, which are in order; -1: nowhere."""
    if not len(hashes):
        return np.full(len(wanted), -1)
    places = np.minimum(hashes.searchsorted(wanted), len(hashes) - 1)
    return np.where(hashes[places] == wanted, places, -1)
