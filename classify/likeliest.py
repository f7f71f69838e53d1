"""In which order the functions of a class are asked, so that a yes comes soon. Pure.

The order decides what is paid, never what is found: without a yes, every function is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from classify.questions import Ask, Question
from classify.remembering import remembered
from mining.records import Snippet

_NAMES = {
    Question.TRAINING_LOOP: (
        r"(?i)(?:.*_)?(?:train|fit|learn|optimi[sz]e|train(?:_?model|_?loop|er)?)\d*",
        r"(?i).*(?:train|fit\b|fit_|learn|epoch|optimi[sz]|run|solve|update|main|loop)",
    ),
    Question.MODEL_DEFINITION: (
        r"forward|call|__call__|__init__|build|setup",
        r"(?i).*(?:build|create|make|init|model|net|layer|forward|encode|decode|infer|generator"
        r"|discriminator|logits|graph|conv|block)",
    ),
}
"""What a function is called that is likely, or somewhat likely, to be what is asked for."""

_WORDS = {
    Question.TRAINING_LOOP: (
        r"\b(?:for|while)\b",
        r"\.backward\(|\.step\(|GradientTape|train_on_batch|apply_gradients|minimize\(|\.run\(",
    ),
    Question.MODEL_DEFINITION: (
        r"\b(?:nn|layers?|keras|slim|F)\.\w+|\.variable_scope\(|get_variable\(",
        r"\b(?:Linear|Dense|Conv\w*|LSTM|GRU|Embedding|Sequential|matmul|conv2d|dense)\(",
    ),
}
"""What its text then holds."""


def likeliest(asks: Sequence[Ask]) -> Ask:
    """Return the ask whose answer is most likely yes; of equally likely ones the first."""
    return max(asks, key=lambda ask: _LIKELIHOODS[ask.question](ask.snippet))


def likelihood(question: Question, function: Snippet) -> int:
    """Return a rank from 0 to 6: the text counts for more than the name, and each sign adds."""
    name = function.qualname.rpartition(".")[2]
    sure, likely = _NAMES[question]
    by_name = 2 if re.fullmatch(sure, name) else 1 if re.match(likely, name) else 0
    signs = sum(re.search(words, function.text) is not None for words in _WORDS[question])
    return by_name + 2 * signs


_LIKELIHOODS = {question: remembered(partial(likelihood, question)) for question in _NAMES}
