"""The judge without a model: it reads the syntax tree and the repository's imports.

Every answer follows from the code alone, so that the same code gets the same answer, with the
lines on which it rests. It is the default judge, and the baseline of a study of a language model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from weakref import WeakKeyDictionary

import mining.extract
import mining.hierarchy
import mining.imports
from classify.judges import Answer, Completion, JudgeSettings, Messages, Request
from classify.judges.rules import shipped_names
from classify.judges.rules.definition import Losses, mention
from classify.judges.rules.loops import Training
from classify.judges.rules.models import Networks
from classify.judges.rules.program import Bases, Code, Program, program_of, standalone
from classify.questions import Ask, Question
from mining.code import RepositoryCode
from mining.records import Snippet


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision, one sentence of reason, and the lines (1-based in the file) it rests on."""

    decision: bool
    reason: str
    lines: tuple[int, ...]


class _Rules:
    """What the rules found out about one repository, kept for the next question."""

    def __init__(self, code: RepositoryCode, interprocedural: bool, bases: Bases) -> None:
        self.program = program_of(code) if bases == "follow" else Program(code, bases)
        self.losses = Losses(self.program, interprocedural=interprocedural)
        self.training = Training(self.program, interprocedural=interprocedural)
        self.networks = Networks(self.program, self.losses, interprocedural=interprocedural)


_RULES: WeakKeyDictionary[RepositoryCode, dict[tuple[bool, Bases], _Rules]] = WeakKeyDictionary()
_DIGESTS: WeakKeyDictionary[RepositoryCode, str] = WeakKeyDictionary()


def rule(
    question: Question,
    snippet: Snippet,
    code: RepositoryCode,
    *,
    interprocedural: bool = True,
    bases: Bases = "follow",
) -> Ruling:
    """Answer a question about a snippet of a repository. Pure; it never raises.

    Unless ``interprocedural``, each function is read alone: neither what its callers do with its
    result counts, nor what the functions do that it calls. It shows what that is worth.
    ``bases`` is as in mining.study.PlacementSettings: where they are ignored, a class is known
    by what stands in it, and by the frameworks' classes that its own head names.
    """
    by_reach = _RULES.setdefault(code, {})
    if (interprocedural, bases) not in by_reach:
        by_reach[interprocedural, bases] = _Rules(code, interprocedural, bases)
    rules = by_reach[interprocedural, bases]
    found = rules.program.code_of(snippet) or standalone(snippet)
    if found is None:
        reason = f"No function or loop can be read from line {snippet.start_line} on."
        return Ruling(False, reason, (snippet.start_line,))
    match question:
        case Question.LOSS_RELATED:
            return _loss_related(rules, found)
        case Question.LOSS_DEFINITION:
            return _loss_definition(rules, found)
        case Question.TRAINING_LOOP:
            return _training_loop(rules, found)
        case Question.MODEL_DEFINITION:
            return _model_definition(rules, found)


def _loss_related(rules: _Rules, code: Code) -> Ruling:
    line = mention(rules.program, code) if rules.losses.speaks(code) else 0
    if line:
        return Ruling(True, f"Line {line} names a loss.", (line,))
    definition = _loss_definition(rules, code)
    if definition.decision:
        return definition
    return _no(code, "speak of no loss")


def _loss_definition(rules: _Rules, code: Code) -> Ruling:
    findings = rules.losses.findings(code)
    if not findings:
        line = mention(rules.program, code) if rules.losses.speaks(code) else 0
        if not line:
            return _no(code, "calculate no loss themselves")
        reason = f"Line {line} names a loss, but nothing here calculates one by itself."
        return Ruling(False, reason, (line,))
    first = findings[0]
    where = "which" if first.line == first.used_on else f"which on line {first.used_on}"
    reason = f"Line {first.line} {first.what}, {where} {first.use}."
    return Ruling(True, reason, tuple(sorted({first.line, first.used_on})))


def _training_loop(rules: _Rules, code: Code) -> Ruling:
    found = rules.training.loop(code)
    if found is None:
        single = rules.training.update(code)
        if single is None:
            return _no(code, "hold no loop which updates parameters")
        reason = f"Line {single.line} {single.what}, but in no loop over data."
        return Ruling(False, reason, (single.line,))
    line, update = found
    reason = f"The loop on line {line} trains: line {update.line} {update.what}."
    return Ruling(True, reason, tuple(sorted({line, update.line})))


def _model_definition(rules: _Rules, code: Code) -> Ruling:
    found = rules.networks.definition(code)
    if found is None:
        return _no(code, "build no layers and are no forward pass")
    return Ruling(True, f"Line {found.line} {found.what}.", (found.line,))


def _no(code: Code, what: str) -> Ruling:
    first, last = code.node.start_point.row + 1, code.node.end_point.row + 1
    return Ruling(False, f"Lines {first} to {last} {what}.", (first, last))


class RulesJudge:
    """Answers requests by ``rule``. ``code_of`` gives a repository's code by its name."""

    def __init__(self, code_of: Callable[[str], RepositoryCode], bases: Bases = "follow") -> None:
        """Take what reads a repository; requests come grouped by repository, it may cache."""
        self._code_of = code_of
        self._bases = bases
        text = {"rules": _rules_sha256(), "bases": bases}
        self.settings = JudgeSettings("rules", text, _engine())

    def answer(self, requests: Iterable[Request | None]) -> Iterator[Completion]:
        """Answer each request at once; all draws of one are equal."""
        for request in filter(None, requests):
            snippet = request.ask.snippet
            code = self._code_of(snippet.repository)
            ruling = rule(request.ask.question, snippet, code, bases=self._bases)
            text = f"{ruling.reason}\nDecision: {ruling.decision}"
            yield Completion(request, (Answer(text, "stop", 0),) * request.draws)


def rules_messages(ask: Ask, code: RepositoryCode) -> Messages:
    """Return what is asked, as the text whose hash is the key of the vote.

    It names all that an answer can depend on: the question, the snippet's place, and the whole
    repository by one sha256 over its paths and texts.
    """
    if code not in _DIGESTS:
        digest = hashlib.sha256()
        for path in sorted(code.texts):
            for part in (path, code.texts[path]):
                digest.update(hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
        _DIGESTS[code] = digest.hexdigest()
    snippet = ask.snippet
    lines = (
        f"question: {ask.question.value}",
        f"repository: {snippet.repository}",
        f"path: {snippet.path}",
        f"start_line: {snippet.start_line}",
        f"qualname: {snippet.qualname}",
        f"code_sha256: {_DIGESTS[code]}",
    )
    return (("user", "\n".join(lines)),)


def _rules_sha256() -> str:
    """Return a hash over the code and data that decide an answer: a change voids votes."""
    modules = (mining.extract, mining.imports, mining.hierarchy)
    paths = [*Path(__file__).parent.glob("*.py"), *(Path(str(m.__file__)) for m in modules)]
    paths += shipped_names.paths()
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda p: (p.parent.name, p.name)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _engine() -> str:
    try:
        return f"lossplace {version('lossplace')}"
    except PackageNotFoundError:
        return "lossplace"
