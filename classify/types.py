"""Which type of standalone code a snippet placed as loss_unknown is, proposed by rules. Pure.

The types are those of the study's table 4.3, the special cases those of its table 4.4. The
rules read the code alone; what they propose is for a person to confirm.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import PurePosixPath

from tree_sitter import Node

from classify.judges.rules import library
from classify.judges.rules.program import program_of, standalone
from classify.judges.rules.tree import (
    arguments_of,
    callee_of,
    last_name,
    line_of,
    path_of,
    text_of,
    walk,
)
from classify.judges.rules.words import names_loss_function, names_optimiser, words
from classify.reading import Call, Reading
from classify.special_cases import SpecialCase, special_cases
from mining.code import RepositoryCode
from mining.records import Snippet
from mining.shipped import shipped


class UnknownType(StrEnum):
    """What kind of code defines a loss outside of models and runners (table 4.3)."""

    STANDALONE_MODEL_OUTPUT_ONLY = "standalone_model_output_only"
    """Only calculates a loss, from what a model put out."""
    STANDALONE_MODEL_DEPENDENCY = "standalone_model_dependency"
    """Only calculates a loss, and calls or is given a whole model."""
    TEST = "test"
    EVALUATION = "evaluation"
    OPTIMIZER = "optimizer"
    TF_ESTIMATOR = "tf_estimator"
    TASK_STRUCTURE = "task_structure"
    """Loss, backward pass and optimizer step together."""
    SAMPLER = "sampler"
    HOOK = "hook"
    DATASET = "dataset"
    QUANTIZER = "quantizer"
    GRADIENT_CALCULATION = "gradient_calculation"
    """A gradient, or a penalty on one, in place of a loss."""
    DISTRIBUTION = "distribution"
    REINFORCEMENT = "reinforcement"
    RETURNS_LOSS_FUNCTION = "returns_loss_function"
    OTHER = "other"


STANDALONE = (UnknownType.STANDALONE_MODEL_OUTPUT_ONLY, UnknownType.STANDALONE_MODEL_DEPENDENCY)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A type with the one line that speaks for it; special cases only of standalone losses."""

    type: UnknownType
    reason: str
    special_cases: frozenset[SpecialCase] = frozenset()


Signs = Mapping[str, Mapping[str, UnknownType]]
"""By what a name is the name of (base, call, class_word ...): the type that the name tells."""


@cache
def known_signs() -> Signs:
    """Return the names in ``data/unknown_types.csv`` (columns sign, name, type)."""
    found: defaultdict[str, dict[str, UnknownType]] = defaultdict(dict)
    with shipped("data/unknown_types.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["sign"]][row["name"]] = UnknownType(row["type"])
    return dict(found)


def propose(snippet: Snippet, code: RepositoryCode, signs: Signs) -> Proposal:
    """Propose the type of a snippet that defines a standalone loss.

    The first rule that speaks decides; where none does, it is a loss that takes a model's output.
    """
    program = program_of(code)
    found = program.code_of(snippet) or standalone(snippet)
    if found is None:
        reason = f"No function or loop can be read from line {snippet.start_line} on."
        return Proposal(UnknownType.OTHER, reason)
    reading = Reading(program, found)
    for rule in _RULES:
        if (decided := rule(reading, signs)) is not None:
            type_, reason = decided
            break
    else:
        type_ = UnknownType.STANDALONE_MODEL_OUTPUT_ONLY
        reason = "It calls no model and is given none."
    cases = (
        special_cases(reading, frozenset(signs["gradient_call"]))
        if type_ in STANDALONE
        else frozenset()
    )
    return Proposal(type_, reason, cases)


_Decided = tuple[UnknownType, str] | None

_TEST_FOLDERS = frozenset({"test", "tests", "testing", "unittests", "unit_tests"})


def _test(reading: Reading, _: Signs) -> _Decided:
    path = PurePosixPath(reading.code.path)
    if _TEST_FOLDERS & set(path.parts[:-1]) or re.fullmatch(r"test_.+|.+_test", path.stem):
        return UnknownType.TEST, f"The file {path.name} holds tests."
    return None


def _class_role(reading: Reading, signs: Signs) -> _Decided:
    """What a method's class is for, by the classes it derives from, else by its own name."""
    for base in reading.classes[1:]:
        name = last_name(base.rpartition("::")[2])
        if "::" not in base and (type_ := signs["base"].get(name)) is not None:
            return type_, f"Its class derives from {base}."
    of_class = [last_name(key.rpartition("::")[2]) for key in reading.classes if "::" in key]
    for name in of_class:
        spoken = words(name)
        for word in spoken:
            if (type_ := signs["class_word"].get(word)) is not None:
                return type_, f"Its class {name} is a {word} by its name."
        if spoken and (type_ := signs["class_last_word"].get(spoken[-1])) is not None:
            return type_, f"Its class {name} is a {spoken[-1]} by its name."
    return None


def _estimator(reading: Reading, signs: Signs) -> _Decided:
    for call in reading.calls:
        if (type_ := signs["call"].get(call.name)) is not None:
            return type_, f"Line {call.line} calls `{call.name}`."
    return None


def _task_structure(reading: Reading, signs: Signs) -> _Decided:
    """A parameter update beside the loss; or a backward pass of which nothing is returned."""
    for call in reading.calls:
        steps = call.name == "step" and names_optimiser(last_name(call.receiver))
        if call.is_method and (steps or call.name in signs["update_call"]):
            return (
                UnknownType.TASK_STRUCTURE,
                f"Line {call.line} updates parameters (`{call.name}`).",
            )
    backward = next((c for c in reading.calls if c.name == "backward" and c.is_method), None)
    if backward is not None and not reading.returns:
        return (
            UnknownType.TASK_STRUCTURE,
            f"Line {backward.line} runs the backward pass, and no loss is returned.",
        )
    return None


def _returns_function(reading: Reading, _: Signs) -> _Decided:
    for elements in reading.returns:
        if all(reading.is_function(each) for each in elements):
            line = line_of(elements[0])
            return UnknownType.RETURNS_LOSS_FUNCTION, f"Line {line} returns a function."
    return None


def _gradient(reading: Reading, signs: Signs) -> _Decided:
    """All that is returned rests on gradients; or the name says that they are calculated."""
    calls = frozenset(signs["gradient_call"])
    first, resting = reading.from_gradients(calls)
    returned = [each for elements in reading.returns for each in elements]
    if (
        first is not None
        and returned
        and all(reading.rests_on(each, calls, resting) for each in returned)
    ):
        return (
            UnknownType.GRADIENT_CALCULATION,
            f"What it returns rests on the gradients of line {first.line}.",
        )
    return _by_name(reading, signs, UnknownType.GRADIENT_CALCULATION)


def _evaluation(reading: Reading, signs: Signs) -> _Decided:
    if (named := _by_name(reading, signs, UnknownType.EVALUATION)) is not None:
        return named
    for call in reading.calls:
        if call.name == "eval" and call.is_method and not arguments_of(call.node).positional:
            return UnknownType.EVALUATION, f"Line {call.line} puts a model in evaluation mode."
    decorated = reading.code.node.parent
    if decorated is not None and decorated.type == "decorated_definition":
        for child in decorated.named_children:
            if child.type == "decorator" and re.search(r"no_grad|inference_mode", text_of(child)):
                return UnknownType.EVALUATION, f"Line {line_of(child)} turns gradients off."
    returned = [each for elements in reading.returns for each in elements]
    if returned and all(_is_number(reading, each) for each in returned):
        line = line_of(returned[0])
        return UnknownType.EVALUATION, f"Line {line} returns a number, not a tensor to train on."
    return None


def _reinforcement(reading: Reading, signs: Signs) -> _Decided:
    if (named := _by_name(reading, signs, UnknownType.REINFORCEMENT)) is not None:
        return named
    for parameter in reading.parameters:
        last = words(parameter)[-1:]
        if last and last[0] in signs["parameter_word"]:
            return signs["parameter_word"][last[0]], f"It takes `{parameter}`."
    return None


def _builds_network(reading: Reading, _: Signs) -> _Decided:
    """A function that makes layers as well is no standalone loss; a loss's own name overrules."""
    if reading.names_loss():
        return None
    for call in reading.calls:
        if library.has_weights(call.dotted):
            return UnknownType.OTHER, f"Line {call.line} makes a layer, beside the loss."
    return None


def _model_dependency(reading: Reading, signs: Signs) -> _Decided:
    type_ = UnknownType.STANDALONE_MODEL_DEPENDENCY
    for call in reading.calls:
        if library.is_framework(call.dotted) or call.dotted in reading.program.classes:
            continue
        if _calls_model(reading, call, signs):
            return type_, f"Line {call.line} calls the model `{call.path}`."
        receiver = last_name(call.receiver)
        if receiver not in ("self", "cls") and _names_model(receiver, signs):
            return type_, f"Line {call.line} uses the model `{call.receiver}`."
        for argument in arguments_of(call.node):
            name = path_of(argument)
            if name in reading.parameters and _names_model(name, signs):
                return type_, f"Line {call.line} hands the model `{name}` on."
    return None


_RULES: tuple[Callable[[Reading, Signs], _Decided], ...] = (
    _test,
    _class_role,
    _estimator,
    _task_structure,
    _returns_function,
    _gradient,
    _evaluation,
    _reinforcement,
    _builds_network,
    _model_dependency,
)


def _by_name(reading: Reading, signs: Signs, type_: UnknownType) -> _Decided:
    """What the function's own name tells, if it is of the wanted type."""
    spoken = words(reading.code.name)
    for word in spoken:
        if signs["function_word"].get(word) is type_:
            return type_, f"It is called `{reading.code.name}`."
    if spoken and signs["function_first_word"].get(spoken[0]) is type_:
        return type_, f"It is called `{reading.code.name}`."
    return None


def _names_model(name: str, signs: Signs) -> bool:
    """Say whether a name stands for a network: ``netG``, ``model1``, ``teacher_encoder``, ``D``."""
    if name in ("G", "D", "E"):
        return True
    spoken = list(words(name))
    while spoken and len(spoken[-1]) == 1:
        spoken.pop()
    return bool(spoken) and spoken[-1] in signs["model_word"]


def _calls_model(reading: Reading, call: Call, signs: Signs) -> bool:
    """Say whether a call applies a network.

    A parameter that is called is one, unless its name says that it is another function.
    """
    if call.path in reading.parameters:
        last = (*words(call.path), "")[-2:][0]
        return not names_loss_function(call.path) and last not in signs["callable_word"]
    return "(" not in call.path and _names_model(call.name, signs)


def _is_number(reading: Reading, node: Node) -> bool:
    """Say whether a value was taken out of the graph: by ``item()`` here or where it was added."""
    out = frozenset({"item", "numpy", "tolist"})

    def taken(each: Node) -> bool:
        return any(n.type == "call" and callee_of(n) in out for n in walk(each))

    if taken(node):
        return True
    named = [path_of(n) for n in walk(node) if n.type == "identifier"]
    return any(any(taken(value) for value in reading.values_of(name)) for name in named)
