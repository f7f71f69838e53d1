"""Does a piece of code calculate a loss, and does it have to do with one at all?"""

from __future__ import annotations

from classify.judges.rules import library
from classify.judges.rules.dataflow import Analysis, Finding, Flow
from classify.judges.rules.program import Code, Program
from classify.judges.rules.tree import arguments_of, last_name, line_of, path_of, text_of, walk
from classify.judges.rules.values import Sort, Value
from classify.judges.rules.words import (
    mentions_loss,
    names_criterion,
    names_error,
    names_loss_function,
    words,
)

_FORWARD = ("forward", "call", "__call__")


class Losses:
    """The losses of a repository. Each piece of code is followed once, and then remembered."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._modules: dict[str, Analysis] = {}
        self._analyses: dict[tuple[str, int], Analysis] = {}
        self._producers: frozenset[tuple[str, int]] | None = None

    @property
    def producers(self) -> frozenset[tuple[str, int]]:
        """The functions whose result is minimised somewhere, with the position in the result."""
        if self._producers is None:
            functions = self._program.functions
            drafts = {key: self._follow(code, frozenset()) for key, code in functions.items()}
            modules = [self._module(path) for path in self._program.texts]
            found = {source for a in (*drafts.values(), *modules) for source in a.trained}
            waiting = list(found)
            while waiting:
                key, position = waiting.pop()
                for _, elements in drafts[key].returned if key in drafts else ():
                    for source in _at(elements, position).sources - found:
                        found.add(source)
                        waiting.append(source)
            self._producers = frozenset(found)
        return self._producers

    def analysis(self, code: Code) -> Analysis:
        """Return what a piece of code does with losses, its nested functions left out."""
        place = (code.path, code.node.start_byte)
        if place not in self._analyses:
            self._analyses[place] = self._follow(code, self.producers)
        return self._analyses[place]

    def findings(self, code: Code) -> list[Finding]:
        """Return the evidence that a loss is calculated, in nested functions too."""
        found: list[Finding] = []
        for each in self._program.within(code):
            analysis = self.analysis(each)
            found += analysis.findings
            found += self._returned(each, analysis)
        return found

    def _follow(self, code: Code, producers: frozenset[tuple[str, int]]) -> Analysis:
        return Flow(self._program, code, producers, self._module(code.path).bound).run()

    def _module(self, path: str) -> Analysis:
        if path not in self._modules:
            root = self._program.module(path)
            code = Code(path, "", None, root) if root is not None else None
            self._modules[path] = Flow(self._program, code).run() if code else Analysis()
        return self._modules[path]

    def _returned(self, code: Code, analysis: Analysis) -> list[Finding]:
        """Return what the values that a function returns show."""
        is_loss = self.returns_loss(code)
        found: list[Finding] = []
        for line, elements in analysis.returned:
            for position, value in enumerate(elements):
                trained = {(code.key, -1), (code.key, position)} & self.producers
                if value.sort is Sort.LOGGED:
                    continue
                if value.is_loss and value.calculated:
                    found.append(_evidence(value, line))
                elif (is_loss or trained) and (value.formula or value.accumulation):
                    if not names_error(code.name) or value.averaged or trained:
                        found.append(_evidence(value, line))
        return found

    def returns_loss(self, code: Code) -> bool:
        """Say whether a function's result is a loss, by its name or that of its class."""
        if code.class_key is None:
            return names_loss_function(code.name)
        class_name = code.class_key.rpartition("::")[2].rpartition(".")[2]
        if {"metric", "metrics", "evaluator"} & set(words(class_name)):
            return False
        if code.name in _FORWARD:
            return names_criterion(class_name) or any(
                library.is_loss_class(base) or base.rpartition(".")[2] in ("_Loss", "Loss")
                for base in self._program.ancestors(code.class_key)
            )
        return names_loss_function(code.name)


def mention(program: Program, code: Code) -> int:
    """Return the first line on which the concept of a loss shows in a name, 0 for none."""
    for node in walk(code.node):
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


def _at(elements: tuple[Value, ...], position: int) -> Value:
    """Return the value that a caller gets who takes the element at ``position``."""
    if len(elements) == 1:
        value = elements[0]
        return value
    return elements[max(position, 0)] if position < len(elements) else Value()


def _evidence(value: Value, line: int) -> Finding:
    use = "is returned"
    if value.combination:
        return Finding("puts losses together by arithmetic", value.combination, use, line)
    if value.choice:
        return Finding("chooses among losses", value.choice, use, line)
    if value.reduction:
        return Finding("reduces an element-wise loss", value.reduction, use, line)
    if value.accumulation:
        return Finding("adds up losses", value.accumulation, use, line)
    return Finding("calculates a loss by its formula", value.formula, use, line)
