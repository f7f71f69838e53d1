"""Data as a page opened from a file can load them: scripts that hand over one compressed value.

A browser lets no page that comes from a file fetch another file, but it does run scripts beside
it. So each shard is a script of one call, ``lossplace.receive(name, data)``, where ``data`` is
the value as JSON, compressed by gzip, in Base64.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SHARD_BYTES = 512 * 1024
SHARD_SNIPPETS = 500
"""A shard ends when it has so much, in characters of code or answers, or so many snippets."""

BUCKETS = 1 << 15
"""Of trigrams; a search leaves out the shards that lack one of the text looked for."""


class Shards:
    """The folder that shards are written into. ``bytes`` counts what was written."""

    def __init__(self, folder: Path) -> None:
        """Take an existing folder."""
        self._folder = folder
        self.bytes = 0

    def write(self, name: str, value: Any) -> None:
        """Write a value of lists, dictionaries, strings, numbers and None as a shard."""
        script = script_of(name, value)
        (self._folder / f"{name}.js").write_bytes(script)
        self.bytes += len(script)


def script_of(name: str, value: Any) -> bytes:
    """Return a shard's script: the same for the same value, and of ASCII only."""
    # lone surrogates, which JSON can write and UTF-8 cannot, stay what they are
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    packed = base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0))
    return b'lossplace.receive("%s","%s");\n' % (name.encode("ascii"), packed)


class Series:
    """Shards of one kind, ``<kind>-0`` and on, filled one snippet after the other.

    ``starts`` holds the number of the first snippet of each.
    """

    def __init__(self, shards: Shards, kind: str) -> None:
        """Begin without a shard."""
        self._shards = shards
        self._kind = kind
        self._items: list[Any] = []
        self._weight = 0
        self._seen = 0
        self.starts: list[int] = []

    def add(self, item: Any, weight: int) -> bool:
        """Add what there is of the next snippet; tell whether a new shard began with it."""
        full = self._weight + weight > SHARD_BYTES or len(self._items) == SHARD_SNIPPETS
        begins = not self._items or full
        if begins:
            self.end()
            self.starts.append(self._seen)
        self._items.append(item)
        self._weight += weight
        self._seen += 1
        return begins

    def end(self) -> None:
        """Write the shard that is being filled, if there is any."""
        if self._items:
            self._shards.write(f"{self._kind}-{len(self.starts) - 1}", self._items)
        self._items, self._weight = [], 0


def trigrams(texts: Iterable[str]) -> str:
    """Return which buckets the trigrams of some texts fall into: bits, in Base64.

    Bit b of byte i is bucket 8i + b. A trigram is three bytes of the UTF-8, in which A to Z are
    lower case; its bucket is (p * 961 + q * 31 + r) mod ``BUCKETS``. ``search.js`` does the same.
    """
    joined = "\0\0".join(texts).encode("utf-8", "surrogatepass").lower()
    codes: NDArray[np.uint32] = np.frombuffer(joined, dtype=np.uint8).astype(np.uint32)
    found = np.zeros(BUCKETS, dtype=bool)
    if len(codes) > 2:
        found[(codes[:-2] * 961 + codes[1:-1] * 31 + codes[2:]) % BUCKETS] = True
    return base64.b64encode(np.packbits(found, bitorder="little").tobytes()).decode("ascii")


def columns_of(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a frame as lists by column, in which every missing value is None."""
    return {str(name): values_of(frame[name]) for name in frame.columns}


def values_of(column: pd.Series) -> list[Any]:
    """Return a column's values as a shard can hold them; numbers keep ten significant digits."""
    return [_plain(value) for value in column.tolist()]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.10g}") if np.isfinite(value) else None
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value
