"""What the arguments of a command mean: which study, and which run."""

from __future__ import annotations

from pathlib import Path

from mining.artifacts import Run
from mining.errors import InputError
from mining.study import Study, Weights, default_study, override, read_study, write_study

STUDY = "study.json"
"""In a run's folder: the study as it was run, flags included."""


def open_run(
    study_path: Path | None,
    run_dir: Path | None = None,
    local: Path | None = None,
    weights: str | None = None,
    top: int | None = None,
) -> tuple[Study, Run]:
    """Return a study and its run; nothing is written.

    ``study_path`` is a study file or the folder of a run, in which its study lies; without one,
    the study is that of the folder ``local``, all at defaults. Flags override the study. A run
    is at ``run_dir``, or below ``runs/`` under the study's name. Raises StudyError.
    """
    if study_path is not None and study_path.is_dir():
        run_dir = run_dir or study_path
        study_path = study_path / STUDY
    study = default_study(local) if study_path is None else read_study(study_path)
    study = override(
        study,
        corpus={"local": local},
        ranking={"weights": None if weights is None else Weights.parse(weights), "top": top},
    )
    return study, Run(run_dir or Path("runs", study.name))


def begin(study: Study, run: Run) -> tuple[Study, Run]:
    """Note the study in the run's folder, before a stage writes there; give both back.

    Raises InputError if the folder cannot be written, or the local corpus is not there.
    """
    if study.corpus.local is not None and not study.corpus.local.is_dir():
        raise InputError(
            f"Expected a folder of repositories at {study.corpus.local}, found none; give a "
            "folder which holds one folder for each repository, named owner__name."
        )
    try:
        write_study(study, run.path(STUDY))
    except OSError as error:
        raise InputError(
            f"Expected to write the run to {run.folder}, found that it cannot be written "
            f"({error.strerror}); choose another folder with --run-dir."
        ) from error
    return study, run
