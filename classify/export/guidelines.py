"""What a reader is told before labelling, in the tools that show it. Pure."""

from __future__ import annotations

from classify.placement import Category
from classify.special_cases import SpecialCase
from classify.types import STANDALONE

_MEANING = {
    Category.LOSS_IN_RUNNER: (
        "It defines a loss, and is a loop at the module level, or a function, or a method of a "
        "class, that goes over data and updates parameters."
    ),
    Category.LOSS_IN_MODEL: (
        "It defines a loss, and is a method of a class that builds layers or does a forward pass."
    ),
    Category.LOSS_IN_MODEL_RUNNER: "It defines a loss, and its class is both.",
    Category.LOSS_UNKNOWN: "It defines a loss, and stands neither in a model nor in a runner.",
    Category.NO_LOSS: "It defines no loss: it has nothing to do with one, or only calls one.",
}
_CASES = {
    SpecialCase.MULTIPLE_LOSSES: "an argument or a setting chooses which of several losses it is",
    SpecialCase.EXTRA_METRICS_RETURNED: "more than the loss is returned",
    SpecialCase.BACKWARD: "the loss is propagated backward, and returned",
    SpecialCase.REGULARIZATION: "a penalty on weights, activations or predictions",
    SpecialCase.GRADIENT_RETURNED: "loss and gradient are returned",
    SpecialCase.OPTIMIZER_VALUE_RETURNED: "loss and updated weights are returned",
}

GUIDELINES = "\n".join(
    [
        "# Where is the loss?",
        "",
        "Label each snippet by itself: a function, a method, or a loop outside of any function. "
        "For a method, look at its whole class and at the base classes in the repository; the "
        "address leads there.",
        "",
        "A snippet **defines** a loss (cost, objective, error of training) if it does arithmetic "
        "between two or more loss values, branches over which loss to compute, or writes out a "
        "known loss. One call of a ready-made loss is usage, no definition.",
        "",
        *(f"- **{category}**: {_MEANING[category]}" for category in Category),
        "",
        f"Of **{Category.LOSS_UNKNOWN}**, say also which type of code it is; of the types "
        f"{' and '.join(STANDALONE)}, which special cases hold, or that none does:",
        "",
        *(f"- **{case}**: {_CASES[case]}" for case in SpecialCase),
        "",
        "Where you cannot tell, leave the snippet out and write a note. Do not speak with other "
        "readers of a snippet before all have labelled it.",
    ]
)
"""Markdown."""
