"""Answers whether a piece of code calculates a loss, and whether it speaks of one at all."""

from __future__ import annotations

import re
from functools import cached_property

from classify.judges.rules import library
from classify.judges.rules.evidence import Analysis, Finding, evidence
from classify.judges.rules.flow import follow
from classify.judges.rules.program import Code, Program
from classify.judges.rules.tree import arguments_of, find, last_name, line_of, path_of, text_of
from classify.judges.rules.values import Source, Value, bare
from classify.judges.rules.words import (
    holds_losses,
    measures,
    mentions_loss,
    names_criterion,
    names_divergence,
    names_error,
    names_output_delta,
    returns_loss,
    speaks_of_training,
)

_IDENTIFIER = re.compile(r"\w+")
_FORWARD = ("forward", "call", "__call__")


class Losses:
    """The losses of a repository. What was followed once is remembered."""

    def __init__(self, program: Program, *, interprocedural: bool = True) -> None:
        """Take the code; unless ``interprocedural``, what callers make of a result is ignored."""
        self._program = program
        self._interprocedural = interprocedural
        self._modules: dict[str, Analysis] = {}
        self._drafts: dict[str, Analysis] = {}
        self._speaks: dict[tuple[str, int], bool] = {}
        self._around: dict[str, dict[str, Value]] = {}
        self._analyses: dict[tuple[str, int], Analysis] = {}

    def _draft(self, code: Code) -> Analysis:
        """Return what a function does, before it is known which functions return a loss."""
        if code.key not in self._drafts:
            self._drafts[code.key] = self._follow(code, frozenset())
        return self._drafts[code.key]

    def speaks(self, code: Code) -> bool:
        """Say whether any word in a piece of code can stand for a loss or its training."""
        place = (code.path, code.node.start_byte)
        if place not in self._speaks:
            file = code.path.rpartition("/")[2]
            text = f"{file} {code.qualname} {text_of(code.node)}"
            self._speaks[place] = speaks_of_training(text) or _holds(text, self._program.losses)
        return self._speaks[place]

    @cached_property
    def _drafted(self) -> list[Analysis]:
        """What all code of the repository does that speaks of a loss."""
        functions = self._program.functions.values()
        drafts = [self._draft(code) for code in functions if self.speaks(code)]
        return [*drafts, *(self._module(path) for path in self._program.texts)]

    @cached_property
    def _named(self) -> frozenset[Source]:
        """The functions whose result, or the mean of it, some caller calls a loss."""
        if not self._interprocedural:
            return frozenset()
        found = {source for analysis in self._drafted for source in analysis.named}
        return frozenset((k, at) for k, at in found if k.rpartition(".")[2] not in _FORWARD)

    @cached_property
    def _producers(self) -> frozenset[Source]:
        """The functions whose result is minimised somewhere, with the position in the result."""
        if not self._interprocedural:
            return frozenset()
        functions = self._program.functions
        found = {source for analysis in self._drafted for source in analysis.trained}
        waiting = list(found)
        while waiting:
            key, position = waiting.pop()
            for _, elements in self._draft(functions[key]).returned if key in functions else ():
                for source in _at(elements, position).sources - found:
                    found.add(source)
                    waiting.append(source)
        return frozenset(found)

    def analysis(self, code: Code) -> Analysis:
        """Return what a piece of code does with losses, its nested functions left out."""
        place = (code.path, code.node.start_byte)
        if place not in self._analyses:
            draft = None
            if self._program.functions.get(code.key) == code:
                draft = self._draft(code)
            calls_producer = draft is None or any(key in draft.called for key, _ in self._producers)
            self._analyses[place] = (
                self._follow(code, self._producers) if calls_producer or draft is None else draft
            )
        return self._analyses[place]

    def findings(self, code: Code) -> list[Finding]:
        """Return the evidence that a loss is calculated, in nested functions too."""
        found: list[Finding] = []
        for each in self._program.within(code):
            if not (self.speaks(each) or self._asked(each)):
                continue
            analysis = self.analysis(each)
            found += analysis.findings
            found += self._returned(each, analysis)
        return found

    def _follow(self, code: Code, producers: frozenset[Source]) -> Analysis:
        if code.path not in self._around:
            bound = self._module(code.path).bound
            self._around[code.path] = {name: bare(value) for name, value in bound.items()}
        found = follow(self._program, code, producers, self._around[code.path])
        # only a module's names are looked up again; every function holds a copy of them
        found.bound = {}
        return found

    def _module(self, path: str) -> Analysis:
        if path not in self._modules:
            root = self._program.module(path)
            code = Code(path, "", None, root) if root is not None else None
            self._modules[path] = follow(self._program, code) if code else Analysis()
        return self._modules[path]

    def _returned(self, code: Code, analysis: Analysis) -> list[Finding]:
        """Return what the values that a function returns show."""
        named, at_home = self.returns_loss(code), self._at_home(code)
        some_loss = any(value.is_loss for _, elements in analysis.returned for value in elements)
        found: list[Finding] = []
        for line, elements in analysis.returned:
            for position, value in enumerate(elements):
                places = {(code.key, -1), (code.key, position)}
                trained = bool(places & self._producers)
                if not value.is_loss:
                    # nothing but its use or its name says that it is a loss: not a helper's
                    # result, nor what is returned where no loss is asked for
                    by_use = trained and not some_loss and (value.averaged or value.difference)
                    by_name = named and (value.averaged or not names_error(code.name))
                    by_caller = not some_loss and bool(places & self._named)
                    if not (by_use or by_name or (value.averaged and (at_home or by_caller))):
                        continue
                asked = named or trained or at_home
                shown = evidence(value, "is returned", line, trained=asked)
                found += [shown] if shown is not None else []
        return found

    def _asked(self, code: Code) -> bool:
        """Say whether a function's place, name, callers or calls tell that it returns a loss."""
        if self.returns_loss(code) or self._at_home(code) or names_output_delta(code.name):
            return True
        if any((code.key, at) in self._named for at in (-1, 0, 1, 2)):
            return True
        return bool(self._producing) and _holds(text_of(code.node), self._producing)

    @cached_property
    def _producing(self) -> frozenset[str]:
        """The bare names of the functions whose result is minimised."""
        return frozenset(key.rpartition("::")[2].rpartition(".")[2] for key, _ in self._producers)

    def _at_home(self, code: Code) -> bool:
        """Say whether a function stands among losses: in their file, or in a loss's class."""
        if measures(code.name) or (code.name.startswith("__") and code.name not in _FORWARD):
            return False
        class_name = (code.class_key or "").rpartition("::")[2].rpartition(".")[2]
        return holds_losses(code.path) or names_criterion(class_name)

    def returns_loss(self, code: Code) -> bool:
        """Say whether a function's result is a loss, by its name or that of its class."""
        measured = measures(code.path.rpartition("/")[2])
        if measured and (names_divergence(code.name) or names_error(code.name)):
            return False
        if names_divergence(code.name) and not self._program.is_deep(code.path):
            return False
        if code.class_key is None:
            return returns_loss(code.name)
        class_name = code.class_key.rpartition("::")[2].rpartition(".")[2]
        if measures(class_name):
            return False
        if code.name in _FORWARD:
            return names_criterion(class_name) or any(
                library.is_loss_class(base) or base.rpartition(".")[2] in ("_Loss", "Loss")
                for base in self._program.ancestors(code.class_key)
            )
        return returns_loss(code.name)


def mention(program: Program, code: Code) -> int:
    """Return the first line on which the concept of a loss shows in a name, 0 for none."""
    for node in find(code.node, "identifier", "string", "call"):
        if node.type == "identifier" and mentions_loss(text_of(node)):
            return line_of(node)
        if node.type == "string" and len(text := text_of(node)) < 60 and mentions_loss(text):
            return line_of(node)
        if node.type == "call":
            path = path_of(node.child_by_field_name("function"))
            name = last_name(path)
            if name == "backward" and path.count(".") and "super" not in path:
                return line_of(node)
            if name in ("minimize", "compute_gradients") and arguments_of(node).positional:
                return line_of(node)
            if "." in path and library.is_loss_function(program.resolve(code, path)):
                return line_of(node)
    return 0


def _holds(text: str, names: frozenset[str]) -> bool:
    return not names.isdisjoint(_IDENTIFIER.findall(text))


def _at(elements: tuple[Value, ...], position: int) -> Value:
    """Return the value that a caller gets who takes the element at ``position``."""
    if len(elements) == 1:
        return elements[0]
    return elements[max(position, 0)] if position < len(elements) else Value()
