"""Everything that lossplace raises on purpose.

    LossplaceError
    ├── StudyError      a study file, or a flag that overrides it, is wrong
    ├── InputError      a folder or a file that the user named is missing or unreadable
    ├── ArtifactError   a run folder lacks what a stage needs, or it does not fit
    ├── ServiceError    GitHub, git or a model's server did not answer as expected
    └── (classify.errors adds the judges' own)

Each message is one sentence or two: what was expected, what was found, what to do.
The command line prints it and exits with status 1; no traceback.
"""

from __future__ import annotations


class LossplaceError(Exception):
    """The base of every error that is the user's to mend."""


class StudyError(LossplaceError):
    """A study file, or a flag that overrides it, is wrong."""


class InputError(LossplaceError):
    """A folder or a file that the user named is missing or unreadable."""


class ArtifactError(LossplaceError):
    """A run folder lacks what a stage needs, or what it holds does not fit."""


class ServiceError(LossplaceError):
    """GitHub, git or a model's server did not answer as expected."""


def first_line(error: BaseException) -> str:
    """Return what an error says, in a line of at most 200 characters; its name if it is silent."""
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
