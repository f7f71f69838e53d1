"""What is derived from a snippet, kept for as long as the snippet itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from mining.records import Snippet

T = TypeVar("T")


def remembered(derive: Callable[[Snippet], T]) -> Callable[[Snippet], T]:
    """Return a function that derives the same, once for each snippet that is in memory.

    A snippet is looked at again after each answer about it; a cache by number would hold the
    texts of thousands that are placed.
    """
    known: WeakKeyDictionary[Snippet, T] = WeakKeyDictionary()

    def derived(snippet: Snippet) -> T:
        if snippet not in known:
            known[snippet] = derive(snippet)
        return known[snippet]

    return derived
