"""The choices that labelling offers: how a sample is drawn, and what a bootstrap draws."""

from __future__ import annotations

from enum import StrEnum


class Design(StrEnum):
    """How a queue of snippets is drawn from a run's placements."""

    RANDOM = "random"
    """Each snippet as likely as any other."""
    STRATIFIED = "stratified"
    """By placement and kind, with Neyman's allocation."""
    THESIS = "thesis"
    """Repositories, each as likely as any other, and of each one snippet placed as a loss."""


class Unit(StrEnum):
    """What a bootstrap of agreement draws anew."""

    REPOSITORY = "repository"
    SNIPPET = "snippet"
