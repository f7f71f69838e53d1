"""How samples of snippets are drawn to be labelled, and what a bootstrap draws. Pure."""

from __future__ import annotations

from enum import StrEnum


class Design(StrEnum):
    """How a queue of snippets is drawn from a run's placements."""

    RANDOM = "random"
    """Each snippet as likely as any other."""
    STRATIFIED = "stratified"
    """By placement, and within it by vote margin or kind, with Neyman's allocation."""
    THESIS = "thesis"
    """Repositories, each as likely as any other, and of each one snippet placed as a loss."""


class Within(StrEnum):
    """By what the strata of one placement are told apart: a column."""

    KIND = "kind"
    """Of the snippet: function, method or loop."""
    MARGIN = "margin"
    """``Margin`` of the votes; of a judge that votes more than once."""


class Margin(StrEnum):
    """By how little the closest verdict on a placement's way was decided, of all its votes."""

    UNANIMOUS = "unanimous"
    """All votes say the same."""
    CLEAR = "clear"
    """The majority leads by half of the votes or more."""
    CLOSE = "close"
    """It leads by less, or there is no vote."""


class Unit(StrEnum):
    """What a bootstrap of agreement draws anew."""

    REPOSITORY = "repository"
    SNIPPET = "snippet"
