"""Which dotted names sound like a loss: the rules behind a suggestion. Pure."""

from __future__ import annotations

import re
from collections.abc import Set
from enum import StrEnum

OWN = "(repository)"
"""Stands for the library of a name that the repository which uses it defines."""
UNKNOWN = "(object)"
"""Stands for the library of a name called on an object that no import explains."""


class Suggestion(StrEnum):
    """What a person is told of a name that may be a loss."""

    KNOWN = "known"
    """It is in the list that the study uses now."""
    LIKELY = "likely"
    UNLIKELY = "unlikely"


_LOSS = (
    "loss|losses|criterion|criterions|crossentropy|xent|nll|nlll|elbo|bce|mse|rmse|mae|mape|msle"
    "|kld|hinge|huber|logcosh"
)
_ENDS = re.compile(
    rf"(^|_)({_LOSS}|cross_entropy|squared_error|absolute_error|absolute_difference"
    r"|percentage_error|logarithmic_error|(kl|js|kullback_leibler|wasserstein)_(div(ergence)?"
    r"|distance)|neg(ative)?_log_prob|log_likelihood|log_cosh"
    r"|penalty)(_(with|from|by)_\w+|_v?\d+d?|_fn|_func|_function|_layer|_op)*$"
)
"""How a loss is called, in the words of its name: by its end, but for what says which variant."""
_FUNCTION_ENDS = re.compile(r"(^|_)kl$")
"""So end functions that are losses, and classes that are models (``AutoencoderKL``)."""
_HINT = re.compile(
    rf"(^|_)({_LOSS}|criteria|entropy|divergence|kl|leibler|objective|penalty|likelihood|log_prob"
    r"|wasserstein|(squared|absolute|recon(struction)?|percentage)_(error|difference))(_|$)"
)
_MODULES = frozenset(
    ("loss", "losses", "criterion", "criterions", "criteria", "objective", "objectives")
)
_METRICS = frozenset(("metric", "metrics", "evaluation", "eval", "evaluate"))
_SETTINGS = frozenset(
    ("args", "cfg", "conf", "config", "flags", "hp", "hparams", "opt", "opts", "params", "self")
)
_ABOUT = re.compile(
    r"(^|_)(accuracy|callback|config|curve|dataset|dict|display|exception|history|hook|key|keys"
    r"|list|log(?!_(likelihood|prob|cosh))|logger|logging|logs|meter|mixin|monitor|name|names|optimize|optimizer|parser|path|plot|plots|print"
    r"|reduce|reduction|register|registry|sampler|save|scale|scaler|scaling|schedule|scheduler"
    r"|score|show|stop|stopping|str|sum|summary|test|tracker|type|update|val|weight|weights"
    r"|writer)(_|$)"
)
"""Words of what deals with losses, and is none."""
_GENERAL = frozenset(
    (
        *("add", "all", "apply", "batch", "build", "calc", "calculate", "compute", "cost"),
        *("create", "criterion", "criterions", "eval", "fn", "forward"),
        *("fun", "func", "function", "get", "init", "layer", "loss", "losses", "make", "mean"),
        *("model", "module", "my", "new", "objective", "op", "penalty", "self", "step", "sum"),
        *("the", "total", "train", "training"),
    )
)
"""Words of which a name tells nothing: as a pattern it would match any variable."""
_IN_A_FILE = "loss|criteri|entropy|xent|nll|elbo|bce|mse|mae|kl|hinge|huber|error|diverg"
_IN_A_FILE += "|mape|msle|leibler|likelihood|log_?prob|cosh|objective|penalty|wasserstein|differen"


def file_hint(known: Set[str]) -> re.Pattern[str]:
    """Return a pattern without which a file has no name for which ``may_be_loss`` holds."""
    listed = "|".join(map(re.escape, sorted(known)))
    return re.compile(rf"(?i:{_IN_A_FILE})|\b(?:{listed})\b")


def may_be_loss(library: str, name: str, known: Set[str]) -> bool:
    """Tell whether a name deserves a person's look: by a word of it, or by its module."""
    spoken = words(name)
    if spoken.endswith(("exception", "warning")) or re.search("[a-z]Error$", name):
        # MeanSquaredError is a loss, ValueError is none
        return name in known or _ENDS.search(spoken) is not None
    by_module = not _MODULES.isdisjoint(library.lower().split("."))
    return name in known or by_module or _HINT.search(spoken) is not None


def suggestion(library: str, name: str, form: str, known: Set[str]) -> tuple[Suggestion, str]:
    """Return what to suggest of a name, and the rule that says so; the first that holds.

    ``library`` is the module that it was resolved to, ``OWN`` or ``UNKNOWN``; ``form``
    ``function`` or ``constructor``.
    """
    spoken = words(name)
    modules = library.lower().split(".")
    if name in known:
        return Suggestion.KNOWN, "in the list"
    if library == UNKNOWN:
        return Suggestion.UNLIKELY, "called on an object of unknown type"
    if modules[-1] in _SETTINGS:
        return Suggestion.UNLIKELY, "a setting"
    if name.isupper() and (library == OWN or library.rpartition(".")[2][:1].isupper()):
        return Suggestion.UNLIKELY, "a constant"
    if not set(spoken.split("_")) - _GENERAL:
        return Suggestion.UNLIKELY, "too general a name: the gate would match any variable"
    if not _METRICS.isdisjoint(modules):
        return Suggestion.UNLIKELY, "of a module of metrics"
    if _ABOUT.search(spoken):
        return Suggestion.UNLIKELY, "deals with losses, by a word of its name"
    if _ENDS.search(spoken) or (form == "function" and _FUNCTION_ENDS.search(spoken)):
        return Suggestion.LIKELY, "called like a loss"
    if not _MODULES.isdisjoint(modules):
        return Suggestion.UNLIKELY, "of a module of losses, but not called like one"
    return Suggestion.UNLIKELY, "only a word of it speaks of losses"


def words(name: str) -> str:
    """Return a name's words in lower case with ``_`` between: ``BCEWithLogitsLoss`` has four."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub("_+", "_", spaced.lower()).strip("_")
