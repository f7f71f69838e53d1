"""What the arguments of a command mean: which study, and which run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mining.artifacts import STUDY, Run
from mining.errors import InputError
from mining.secrets import refuse_secrets
from mining.study import Study, Weights, default_study, override, read_study, write_study


def open_run(
    study_path: Path | None,
    run_dir: Path | None = None,
    local: Path | None = None,
    weights: str | None = None,
    top: int | None = None,
    ray: str | None = None,
) -> tuple[Study, Run]:
    """Return a study and its run; nothing is written.

    ``study_path`` is a study file or the folder of a run, in which its study lies; without one,
    the study is that of the folder ``local``, all at defaults. Flags override the study. A run
    is at ``run_dir``, or below ``runs/`` under the study's name. Raises StudyError, also if the
    study holds a credential.
    """
    if study_path is not None and study_path.is_dir():
        run_dir = run_dir or study_path
        study_path = study_path / STUDY
    study = default_study(local) if study_path is None else read_study(study_path)
    study = override(
        study,
        corpus={"local": local},
        ranking={"weights": None if weights is None else Weights.parse(weights), "top": top},
        scale={"engine": None if ray is None else "ray", "address": ray},
    )
    refuse_secrets(study)
    return study, Run(run_dir or Path("runs", study.name))


@contextmanager
def writing(study: Study, run: Run) -> Iterator[tuple[Study, Run]]:
    """Hold a run against other processes, and note the study in it, before a stage writes there.

    Gives both back. Raises ArtifactError while another process writes there, InputError if the
    folder cannot be written, or the local corpus is not there, and StudyError if the study holds a
    credential; what is wrong with the study shows before anything is made.
    """
    refuse_secrets(study)
    _check_corpus(study)
    with ExitStack() as held:
        with _writable(run):
            run.folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(run.alone())
            write_study(study, run.path(STUDY))
        yield study, run


def _check_corpus(study: Study) -> None:
    if study.corpus.local is not None and not study.corpus.local.is_dir():
        raise InputError(
            f"Expected a folder of repositories at {study.corpus.local}, found none; give a "
            "folder which holds one folder for each repository, named owner__name."
        )


@contextmanager
def _writable(run: Run) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Expected to write the run to {run.folder}, found that it cannot be written "
            f"({error.strerror}); choose another folder with --run-dir."
        ) from error
