"""What can go wrong in classification; see mining.errors for the tree."""

from __future__ import annotations

from mining.errors import InputError, LossplaceError, ServiceError


class PromptError(InputError):
    """A prompt is missing or cannot be rendered."""


class GoldError(InputError):
    """A file of hand labels is not as it must be."""


class JudgeError(ServiceError):
    """A judge could not answer; what it answered before is kept."""


class MissingVoteError(LossplaceError):
    """A replay needs a vote which the store does not hold."""


class BudgetSpentError(LossplaceError):
    """A run spent what it may before it was finished; what it bought is kept."""
