"""Makes the replication package of a run: all that its numbers need, and nothing private.

A bundle is itself a finished run, without the texts that may not be passed on, and with
``asks.parquet`` and ``names_loss`` in their place: with these, placing needs no text.
"""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from classify import pipeline
from classify.classification import PLACEMENTS, STORE
from classify.costs import COSTS
from classify.evidence import Evidence, evidence
from classify.paper import FOLDER as PAPER
from classify.prompts import read_prompts
from classify.proposals import LABEL_TYPES, TYPES
from classify.questions import Question
from classify.replication.checklist import Facts, checklist
from classify.replication.contents import (
    ASKS,
    check_no_secret,
    leave_out_places,
    leave_out_texts,
    note_names_loss,
    write_votes,
)
from classify.replication.croissant import CROISSANT, croissant
from classify.replication.documents import citation, environment, readme
from classify.replication.manifest import write_manifest
from classify.replication.verify import verify_folder
from classify.schema import connect
from classify.subjects import names_known_loss
from classify.votes import decision
from mining.artifacts import (
    STUDY,
    Artifact,
    Run,
    beside,
    file_sha256,
    settle,
    write_atomically,
)
from mining.errors import ArtifactError, InputError
from mining.extraction import CLASSES, DROPPED, FILES, SNIPPETS
from mining.frameworks import FRAMEWORKS
from mining.funnel import FUNNEL
from mining.ledger import LEDGER
from mining.licenses import Licenses, licenses_of
from mining.pages import REPOSITORIES, SEARCH
from mining.pipeline import CORPUS
from mining.rank import RANKING, SENSITIVITY, SENSITIVITY_DRAWS
from mining.secrets import without_credentials
from mining.study import ScaleSettings, Study, write_study

GOLD = "gold.csv"
LOSS_FUNCTIONS = "loss_functions.csv"
ARTIFACTS = (
    SEARCH,
    LEDGER,
    REPOSITORIES,
    RANKING,
    FUNNEL,
    SENSITIVITY,
    SENSITIVITY_DRAWS,
    CORPUS,
    FILES,
    SNIPPETS,
    CLASSES,
    DROPPED,
    PLACEMENTS,
    COSTS,
    TYPES,
    LABEL_TYPES,
    FRAMEWORKS,
)
"""What of a run goes in, where it is done. Raw pages of a search do not: they may hold what only
the token's owner may see."""

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def bundle(
    study: Study, run: Run, out: Path, *, gold: Path | None = None, with_text: bool = False
) -> list[str]:
    """Write the bundle of a finished run to ``out``, a new folder or a ``.zip``.

    ``gold`` are hand labels in place of the study's. The run is only read; its tables are made
    anew. Returns what is to be said. Raises InputError if another ``out`` is there, ArtifactError
    if the run is not finished or the bundle does not verify.
    """
    with beside(out) as temporary:
        folder = temporary / (out.stem if out.suffix == ".zip" else out.name)
        folder.mkdir(parents=True)
        facts = _fill(study, run, folder, gold or study.evaluation.gold, with_text)
        verification = verify_folder(folder)
        if not verification.agrees:
            raise ArtifactError(
                "Expected the bundle to verify, found that it does not "
                f"({'; '.join(verification.differences[:3])}); run `lossplace classify` and "
                "`lossplace paper` again."
            )
        more = _tables(run) - _tables(Run(folder))
        made = folder
        if out.suffix == ".zip":
            made = temporary / out.name
            _pack(folder, made)
        # one that is the same is this command's own, killed before it could say so
        if out.exists() and _hashes(made) != _hashes(out):
            raise InputError(
                f"Expected nothing at {out}, found something; give another --out, or delete it."
            )
        if not out.exists():
            settle(made, out)
    size = sum(
        p.stat().st_size for p in ([out] if out.is_file() else out.rglob("*")) if p.is_file()
    )
    return [
        f"bundle: {facts.snippets} snippets, {facts.with_text} of them with their text, "
        f"{sum(facts.decisions.values())} votes, {size / 1e6:.1f} MB",
        *_warnings(facts),
        *([f"left out, as it rests on another run: {', '.join(sorted(more))}"] if more else []),
        *verification.lines(),
        f"written to {out}; complete CHECKLIST.md, CITATION.cff and README.md in it",
    ]


def _hashes(place: Path) -> dict[str, str]:
    """Return the hash of a file, or of each file in a folder, by its path in there."""
    files = [place] if place.is_file() else place.rglob("*")
    return {str(f.relative_to(place)): file_sha256(f) for f in files if f.is_file()}


def _fill(study: Study, run: Run, folder: Path, gold: Path | None, with_text: bool) -> Facts:
    package = Run(folder)
    licenses = licenses_of(run, with_text=with_text)
    rests_on = evidence(study, run)
    check_no_secret(dict(rests_on.judge.text), "the judge's settings")
    prompt_files = {} if rests_on.judge.kind == "rules" else _write_prompts(study, folder)
    if gold is not None:
        shutil.copyfile(gold, folder / GOLD)
    if study.placement.loss_functions is not None:
        shutil.copyfile(study.placement.loss_functions, folder / LOSS_FUNCTIONS)
    public = _public(study, folder, gold is not None, bool(prompt_files))
    write_study(public, folder / STUDY)
    for name in ARTIFACTS:
        if run.sidecar(name) is not None:
            run.sha256(name)  # no damaged file goes out
            package.path(name).parent.mkdir(exist_ok=True)
            for file in (name, f"{name}.meta.json"):
                shutil.copyfile(run.path(file), package.path(file))
    pipeline.paper(public, package)  # while the texts are there, which some tables need

    note_names_loss(package.path(SNIPPETS), names_known_loss(study.placement))
    _strip(package, licenses, _private(study, run))
    texts = package.read(SNIPPETS, ["code_sha256", "text"]).dropna()
    going_out = frozenset(texts["code_sha256"])
    write_votes(run.path(STORE), package.path(STORE), rests_on, going_out.__contains__)
    inputs = {SNIPPETS: package.sha256(SNIPPETS)}
    package.write(ASKS, rests_on.asks, Artifact("bundle", {}, inputs))

    facts = _facts(public, package, rests_on, prompt_files)
    _write_documents(package, public, facts, licenses)
    write_manifest(folder)
    return facts


def _strip(package: Run, licenses: Licenses, private: Callable[[str], str]) -> None:
    """Take out what may not be passed on, and have the sidecars name the new hashes."""
    for name in (SNIPPETS, FILES):
        leave_out_texts(package.path(name), licenses.allows)
    for name in (CORPUS, DROPPED):
        leave_out_places(package.path(name), private)
    changed = (SNIPPETS, FILES, CORPUS, DROPPED)
    noted = {name: found.sha256 for name in changed if (found := package.sidecar(name))}
    hashes = {before: file_sha256(package.path(name)) for name, before in noted.items()}
    for sidecar in sorted(package.folder.rglob("*.meta.json")):
        text = without_credentials(sidecar.read_text("utf-8"))
        for before, after in hashes.items():
            text = text.replace(before, after)
        write_atomically(sidecar, text)


def _public(study: Study, folder: Path, has_gold: bool, has_prompts: bool) -> Study:
    """Return the study with paths of the bundle, and without what only this machine has."""
    corpus, judge = study.corpus, study.judge
    check_no_secret(dict(judge.engine), "[judge.engine]")
    return study.model_copy(
        update={
            "search": study.search.model_copy(
                update={"base_url": without_credentials(study.search.base_url)}
            ),
            "corpus": corpus.model_copy(
                update={
                    "local": corpus.local and folder / "corpus",
                    "commits": corpus.commits and folder / CORPUS,
                    "clone_url": without_credentials(corpus.clone_url),
                }
            ),
            "judge": judge.model_copy(
                update={
                    "base_url": type(judge)().base_url,
                    "engine": {k: v for k, v in judge.engine.items() if k != "download_dir"},
                }
            ),
            "prompts": study.prompts.model_copy(
                update={"folder": folder / "prompts" if has_prompts else None}
            ),
            "placement": study.placement.model_copy(
                update={
                    "loss_functions": study.placement.loss_functions and folder / LOSS_FUNCTIONS
                }
            ),
            "evaluation": study.evaluation.model_copy(
                update={"gold": folder / GOLD if has_gold else None}
            ),
            "scale": ScaleSettings(),
        }
    )


def _private(study: Study, run: Run) -> Callable[[str], str]:
    """Return what takes credentials and this machine's folders out of a reason."""
    places = {
        str(path.resolve()): name
        for path, name in ((run.folder, "RUN"), (study.corpus.local, "CORPUS"), (Path.home(), "~"))
        if path is not None and path.resolve() != Path("/")
    }

    def private(text: str) -> str:
        text = without_credentials(text)
        for place, name in places.items():
            text = text.replace(place, name)
        return text

    return private


def _write_prompts(study: Study, folder: Path) -> dict[str, str]:
    """Write the prompts that the model saw; return their hashes by file."""
    prompts = read_prompts(study.prompts.folder, study.prompts.version)
    files = {}
    for question in Question:
        name = f"prompts/{question}.md"
        write_atomically(folder / name, prompts.templates[question])
        files[name] = file_sha256(folder / name)
    return files


def _facts(study: Study, package: Run, rests_on: Evidence, prompt_files: dict[str, str]) -> Facts:
    corpus, snippets = package.read(CORPUS), package.read(SNIPPETS, ["text"])
    with closing(connect(package.path(STORE))) as store:
        votes = pd.read_sql("SELECT * FROM counted_votes ORDER BY prompt_sha256, draw", store)
        (refused,) = store.execute("SELECT count(*) FROM failures").fetchone()
    votes = votes.groupby("prompt_sha256").head(rests_on.votes)
    limits = ", ".join(map(str, sorted(set(votes["max_tokens"]) - {0})))
    judge = rests_on.judge
    if limits:
        judge = dataclasses.replace(judge, text={**judge.text, "max_tokens": limits})
    words = {True: "yes", False: "no", None: "none"}
    said = pd.Series([words[decision(text)] for text in votes["text"]], votes.index, "str")
    ranking = package.sidecar(RANKING)
    return Facts(
        lossplace=version("lossplace"),
        judge=judge,
        engines=tuple(sorted(votes["engine"].unique())),
        votes_each=rests_on.votes,
        prompts=votes["prompt_sha256"].nunique(),
        unanimous=int((said.groupby(votes["prompt_sha256"]).nunique() == 1).sum()),
        refused=refused,
        decisions={each: int((said == each).sum()) for each in ("yes", "no", "none")},
        tokens=(
            int(votes["prompt_tokens"].sum()),
            int(votes["output_tokens"].sum()),
        ),
        prompt_files=prompt_files,
        queries=study.search.queries,
        as_of=None if ranking is None else (ranking.notes or {}).get("as_of"),
        repositories=len(corpus),
        lost=int(corpus["reason"].notna().sum()),
        with_commit=int(corpus["commit"].notna().sum()),
        with_text=int(snippets["text"].notna().sum()),
        snippets=len(snippets),
        unplaced=int(package.read(PLACEMENTS, ["placement"])["placement"].isna().sum()),
        placement=study.placement.model_dump(exclude={"loss_functions"}),
        evaluation=pipeline.evaluate(study, package) if study.evaluation.gold else None,
    )


def _write_documents(package: Run, study: Study, facts: Facts, licenses: Licenses) -> None:
    folder = package.folder
    write_atomically(
        folder / "README.md",
        readme(
            study.name,
            facts.with_text,
            facts.snippets,
            has_gold=study.evaluation.gold is not None,
            has_prompts=bool(facts.prompt_files),
            has_loss_functions=study.placement.loss_functions is not None,
        ),
    )
    write_atomically(folder / "CHECKLIST.md", checklist(facts))
    write_atomically(folder / "CITATION.cff", citation(study.name))
    write_atomically(folder / "environment.txt", environment())
    repositories = package.read(CORPUS, ["repository"])["repository"]
    inside = {licenses.of[name] for name in repositories if name in licenses.of}
    write_atomically(
        folder / CROISSANT,
        croissant(
            folder,
            study.name,
            f"Replication package of the study {study.name}: where deep-learning code defines its "
            f"loss, in {facts.snippets} snippets of {facts.repositories} repositories, with every "
            "vote behind each placement.",
            sorted(each for each in inside if each != "NOASSERTION"),
            f"See CITATION.cff. Replication package of the study {study.name}.",
            "1.0.0",
            None if facts.as_of is None else datetime.fromisoformat(facts.as_of),
        ),
    )


def _tables(run: Run) -> set[str]:
    return {path.stem for path in run.path(PAPER).glob("*.csv")}


def _warnings(facts: Facts) -> list[str]:
    model = str(facts.judge.text.get("model", ""))
    if not Path(model).is_absolute():
        return []
    return [
        f"warning: the judge's model is named by a path of this machine, {model}, which is in the "
        "bundle; a name from a hub would tell others which it is."
    ]


def _pack(folder: Path, path: Path) -> None:
    """Write a folder as a ZIP file, the same bytes each time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = f"{folder.name}/{file.relative_to(folder).as_posix()}"
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with file.open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)
