"""Recomputes a bundle: its files against the manifest, its placements from the votes, its tables.

Nothing in the bundle is written to.
"""

from __future__ import annotations

import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa

from classify import pipeline
from classify.ask import Ballots
from classify.classification import PLACEMENTS, STORE
from classify.evidence import placed_by
from classify.gate import RULES_GATE
from classify.judges import Messages, prompt_sha256
from classify.judges.replay import ReplayJudge
from classify.judging import open_replay
from classify.paper import FOLDER as PAPER
from classify.proposals import LABEL_TYPES, TYPES
from classify.questions import Ask, Question
from classify.replication.contents import ASKS, NAMES_LOSS
from classify.replication.manifest import MANIFEST, differences
from classify.store import Store
from classify.subjects import Plan, names_known_loss, placements
from mining.artifacts import STUDY, Run, file_sha256
from mining.errors import InputError, LossplaceError
from mining.extracted import Corpus
from mining.extraction import SNIPPETS
from mining.frameworks import FRAMEWORKS
from mining.study import Study, read_study

_FROM_TEXTS = (TYPES, LABEL_TYPES, FRAMEWORKS)
_NUMBERS = (".csv", ".md", ".tex")
_UNREADABLE = (
    LossplaceError,
    OSError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    sqlite3.Error,
    pa.ArrowException,
)
"""What damaged files bring about, wherever they are read."""

_LARGE, _MOST_TIMES = 2**28, 100
"""A bundle is mostly Parquet, which packs by no more than a few times: what is larger than 256 MB
and packed a hundred times is none."""
_BESIDE_STORE = frozenset({f"{STORE}-wal", f"{STORE}-shm", f"{STORE}-journal"})
"""What SQLite would take for the newest state of the store, and write to."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was recomputed: what agrees, or each difference."""

    agreeing: str
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of verifying a bundle. ``manifest_sha256`` names the bundle's every byte."""

    manifest_sha256: str
    checks: tuple[Check, ...]
    made_by: str

    @property
    def agrees(self) -> bool:
        """Tell whether nothing differs."""
        return not self.differences

    @property
    def differences(self) -> list[str]:
        """Everything that differs, a phrase each."""
        return [difference for check in self.checks for difference in check.differences]

    def lines(self) -> Iterator[str]:
        """Give what agrees and what differs, a line each."""
        if self.made_by != version("lossplace"):
            yield (
                f"warning: made by lossplace {self.made_by}, and this is {version('lossplace')}, "
                "which may read answers or draw tables otherwise"
            )
        for check in self.checks:
            if not check.differences:
                yield f"agrees: {check.agreeing}"
            for difference in check.differences:
                yield f"differs: {difference}"
        yield f"verify: {len(self.differences) or 'no'} differences"
        yield f"sha256 of the manifest: {self.manifest_sha256}"


def verify(path: Path) -> Verification:
    """Verify a bundle, a folder or a ZIP file. Raises InputError if it is none."""
    if path.is_dir():
        return verify_folder(path)
    with TemporaryDirectory() as temporary:
        try:
            with zipfile.ZipFile(path) as archive:
                _check_size(path, archive)
                archive.extractall(temporary)
        except (
            OSError,
            EOFError,
            ValueError,
            RuntimeError,  # encrypted, or packed in a way that Python does not know
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise InputError(
                f"Expected a bundle, a folder or a ZIP file, at {path}, found none that can be "
                f"read ({error}); get it anew."
            ) from error
        folders = [found.parent for found in sorted(Path(temporary).glob(f"**/{MANIFEST}"))]
        return verify_folder(folders[0] if folders else Path(temporary))


def _check_size(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise InputError for an archive that would fill the disk; no entry unpacks to more."""
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(_LARGE, _MOST_TIMES * path.stat().st_size):
        raise InputError(
            f"Expected a bundle at {path}, found an archive of {path.stat().st_size} bytes that "
            f"unpacks to {unpacked}; if you trust it, unpack it and give its folder."
        )


def verify_folder(folder: Path) -> Verification:
    """Verify a bundle's folder. Raises InputError if it is none."""
    named, differing = differences(folder)
    checks = [Check(f"{named} files with the manifest", tuple(differing))]
    package = Run(folder, as_is=True)
    with TemporaryDirectory() as temporary:
        scratch = Run(Path(temporary).resolve(), as_is=True)
        _share(folder, scratch.folder)
        for what, check in (
            ("texts", _texts),
            ("placements", _placements),
            ("tables", _tables),
        ):
            try:
                study = read_study(folder / STUDY)
                checks.append(check(study, package, scratch))
            except _UNREADABLE as error:
                reason = str(error).replace(str(scratch.folder), str(folder))
                checks.append(Check("", (f"{what} cannot be recomputed: {reason}",)))
    return Verification(file_sha256(folder / MANIFEST), tuple(checks), _made_by(package))


def _made_by(package: Run) -> str:
    try:
        sidecar = package.sidecar(PLACEMENTS)
    except LossplaceError:
        sidecar = None
    return "an unknown version" if sidecar is None else str(sidecar.settings.get("lossplace"))


def _share(folder: Path, scratch: Path) -> None:
    """Lay the bundle's files below a folder of our own, to be read there and not changed."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if not path.is_file() or name.parts[0] == PAPER or name.name in _BESIDE_STORE:
            continue
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        if name.name == STORE:
            shutil.copyfile(path, scratch / name)  # SQLite writes to what it opens
        else:
            (scratch / name).symlink_to(path.resolve())


def _texts(study: Study, package: Run, scratch: Run) -> Check:
    """Compute anew what snippets whose text is there are called, and what was asked of them."""
    corpus = Corpus(scratch, without_texts=True)
    noted = package.read(SNIPPETS).set_index("snippet_id")
    noted = noted[~noted.index.duplicated()]
    asks: dict[str, list[tuple[Question, str, str]]] = {}
    for (question, snippet_id, apart), prompt in _asks(package).items():
        asks.setdefault(snippet_id, []).append((question, apart, prompt))
    judge, _ = placed_by(scratch)
    messages = open_replay(study, corpus, judge).messages
    names_loss = names_known_loss(study.placement)
    found: list[str] = []
    snippets = asked = 0
    for repository in corpus.repositories:
        for snippet in corpus.snippets(repository):
            if not snippet.text:
                continue
            snippets += 1
            where = f"{repository} {snippet.path}:{snippet.start_line}"
            if snippet.snippet_id not in noted.index:
                found.append(f"{SNIPPETS}: {where} is not the text that its hash says")
                continue
            row = noted.loc[snippet.snippet_id]
            if snippet.code_sha256 != row["code_sha256"]:
                found.append(f"{SNIPPETS}: {where} has another code_sha256")
            if names_loss(snippet) != row[NAMES_LOSS]:
                found.append(f"{SNIPPETS}: {where} names a known loss, or not, against the note")
            for question, apart, prompt in asks.get(snippet.snippet_id, ()):
                asked += 1
                if prompt_sha256(messages(Ask(question, snippet)), apart) != prompt:
                    found.append(f"{ASKS}: {where} is asked {question} by another prompt")
    return Check(f"hashes of {snippets} snippets with text, and of {asked} prompts", _some(found))


def _placements(study: Study, package: Run, scratch: Run) -> Check:
    """Place every snippet anew by the stored votes."""
    noted = package.read(SNIPPETS, ["snippet_id", NAMES_LOSS])
    names_loss = dict(zip(noted["snippet_id"], noted[NAMES_LOSS], strict=True))
    judge, rule = placed_by(scratch)
    theirs = package.read(PLACEMENTS)
    # the gate reads texts, which may not be here
    asks = _asks(package)
    asked_to_train = {id_ for question, id_, _ in asks if question is Question.TRAINING_LOOP}
    gated = set(theirs.loc[theirs["reason"] == RULES_GATE, "snippet_id"])
    plan = Plan(
        study.placement,
        study.savings,
        lambda snippet: bool(names_loss[snippet.snippet_id]),
        lambda snippet: snippet.snippet_id not in gated,
        lambda snippet: snippet.snippet_id in asked_to_train,
    )
    with Store(scratch.path(STORE)) as store:
        ballots = Ballots(
            store,
            ReplayJudge(judge),
            _never_asked,
            rule,
            store.reasons(judge),
            study.savings.equal_code,
            remember_all=True,  # as they cannot be rendered
            prompts=asks,
        )
        corpus = Corpus(scratch, without_texts=True)
        ours = placements(scratch, corpus, plan, ballots)
    agreeing = f"{len(ours)} placements, from the votes on {ballots.spent.stored} prompts"
    return Check(agreeing, _some(_rows_differing(ours, theirs)))


def _tables(study: Study, package: Run, scratch: Run) -> Check:
    """Write the paper anew and compare it, but for drawings, byte by byte."""
    if package.read(SNIPPETS, ["text"])["text"].notna().all():
        for name in _FROM_TEXTS:
            sidecar = scratch.path(f"{name}.meta.json")
            sidecar.unlink(missing_ok=True)  # so that it is made anew
    pipeline.paper(study, scratch, drawings=False)
    ours, theirs = (
        {path.name: path.read_bytes() for path in run.path(PAPER).glob("*") if _has_numbers(path)}
        for run in (scratch, package)
    )
    found = [f"{PAPER}/{name} does not come out" for name in sorted(theirs.keys() - ours.keys())]
    found += [f"{PAPER}/{name} is missing" for name in sorted(ours.keys() - theirs.keys())]
    found += [
        f"{PAPER}/{name} comes out otherwise"
        for name in sorted(ours.keys() & theirs.keys())
        if ours[name] != theirs[name]
    ]
    return Check(f"{len(ours)} files of tables and of figures' numbers", tuple(found))


def _has_numbers(path: Path) -> bool:
    return path.suffix in _NUMBERS


def _asks(package: Run) -> dict[tuple[Question, str, str], str]:
    asks = package.read(ASKS)
    return {
        (Question(question), snippet_id, apart): prompt
        for snippet_id, question, apart, prompt in asks.itertuples(index=False, name=None)
    }


def _never_asked(ask: Ask) -> Messages:
    """Stand for the prompt of an ask that no bundle knows: there are no votes on it.

    Not every function of a class is asked, once one has said yes; see placement.place.
    """
    return ((ask.question, ask.snippet.snippet_id),)


def _rows_differing(ours: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[str]:
    if list(ours.columns) != list(theirs.columns) or len(ours) != len(theirs):
        yield f"{PLACEMENTS} has other rows or columns than the votes give"
        return
    same = (ours == theirs) | (ours.isna() & theirs.isna())
    for number in same.index[~same.all(axis=1)]:
        row = ours.loc[number]
        yield (
            f"{PLACEMENTS}: {row['repository']} {row['path']}:{row['start_line']} is "
            f"{theirs.loc[number, 'placement']}, the votes give {row['placement']} "
            f"(differs in {', '.join(same.columns[~same.loc[number]])})"
        )


def _some(found: list[str] | Iterator[str]) -> tuple[str, ...]:
    """Return the first few, and how many more there are."""
    everything = list(found)
    more = len(everything) - _SHOWN
    return (*everything[:_SHOWN], *([f"and {more} more"] if more > 0 else []))
