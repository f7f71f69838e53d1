"""A study: one configuration, read from TOML, every key checked."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mining.artifacts import write_atomically
from mining.errors import StudyError
from mining.untrusted_json import json_of


def _start_of_day(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_start_of_day)]
"""An instant with its time zone, or a date, which means its start in UTC."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


TooLong = Literal["outline", "head_and_tail", "refuse"]


class Section(BaseModel):
    """A table of the study file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SearchSettings(Section):
    """Which repositories GitHub is asked for: every framework with every architecture."""

    frameworks: tuple[str, ...] = ("PyTorch", "TensorFlow")
    architectures: tuple[str, ...] = (
        "CNN",
        "RNN",
        "autoencoder",
        "RBM",
        "GAN",
        "DBN",
        "recursive neural network",
        "Transformer",
        "Diffusion",
        "GNN",
    )
    population: Literal["first-1000", "all"] = "first-1000"
    """``first-1000``: what GitHub shows of a query; ``all``: everything, window by window."""
    max_gap_percent: Annotated[float, Field(ge=0, le=100)] = 1.0
    """The largest share of a query's results that may be missing. A share of the population,
    whatever it counts, is off by no more than the gap; one point is well below the half-width
    of the intervals."""
    base_url: str = "https://api.github.com"
    """Another address for GitHub Enterprise, or for a test."""
    max_wait_s: Annotated[int, Field(ge=0)] = 3600
    """The longest wait for a rate limit; a longer one is an error, and the pages so far stay."""
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60
    """For each request, from the look-up of the host's name to the last byte of the answer."""

    @property
    def queries(self) -> tuple[str, ...]:
        """The search texts, in the order in which repositories are selected."""
        return tuple(f"{f} {a}" for f in self.frameworks for a in self.architectures)


class Weights(Section):
    """What each attribute counts for in a repository's score."""

    stars: NonNegative = 1.0
    forks: NonNegative = 2.0
    recency: NonNegative = 1.5

    @classmethod
    def parse(cls, text: str) -> Weights:
        """Read ``stars=1,forks=2,recency=1.5``; what is not named keeps its default.

        Raises StudyError on anything else.
        """
        values: dict[str, float] = {}
        for part in filter(None, (p.strip() for p in text.split(","))):
            name, separator, value = part.partition("=")
            name = name.strip()
            try:
                if not separator or name not in cls.model_fields or name in values:
                    raise ValueError
                values[name] = float(value)
            except ValueError:
                raise StudyError(
                    f"Expected weights such as stars=1,forks=2,recency=1.5, found {part!r}; "
                    f"name each of {', '.join(cls.model_fields)} at most once, with a number."
                ) from None
        try:
            return cls(**values)
        except ValidationError as error:
            raise StudyError(_explain(error, "--weights")) from None


class RankingSettings(Section):
    """How repositories are scored and how many are taken from each query."""

    weights: Weights = Weights()
    top: Annotated[int, Field(ge=1)] = 32
    """Repositories taken from each query."""
    as_of: AwareDatetime | None = None
    """The instant from which the time since the last push counts; unset: that of the search."""
    archived: Literal["keep", "exclude"] = "keep"
    """Whether archived repositories, which GitHub shows read-only, can be selected."""
    max_repository_kb: Annotated[int, Field(ge=1)] | None = None
    """The size, by GitHub's own figure, above which a repository is not selected."""


class SensitivitySettings(Section):
    """How the weights of the ranking are moved to see which repositories depend on them."""

    draws: Annotated[int, Field(ge=1)] = 1000
    concentration: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0
    """Of the Dirichlet distribution: the larger, the closer the draws stay to the weights."""
    seed: Annotated[int, Field(ge=0)] = 0


class CorpusSettings(Section):
    """Where the code comes from, and how much of it is read."""

    local: Path | None = None
    """A folder of repositories, ``owner__name`` each, in place of GitHub."""
    commits: Path | None = None
    """The repositories, each with its commit (CSV, or the corpus.parquet of another run), in
    place of search and ranking."""
    clone_url: str = "https://github.com/{repository}.git"
    as_of: Instant | None = None
    """The last commit of the default branch before this instant is fetched; unset: the last."""
    notebooks: bool = False
    """Whether the code cells of ``*.ipynb`` are fetched and read."""
    max_file_bytes: Annotated[int, Field(ge=1)] = 2_000_000
    """The size above which a file is not read."""
    max_repository_bytes: Annotated[int, Field(ge=10_000)] = 1_000_000_000
    """The size of its clone (code, compressed) above which a repository is dropped."""
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 600
    """For each repository."""
    jobs: Annotated[int, Field(ge=1, le=64)] = 4
    """Repositories fetched at once."""
    copies: Literal["drop", "keep"] = "drop"
    """What becomes of a repository that the search found, at the commit of another one before it,
    or with just the same files; the published study did not look."""

    @property
    def searched(self) -> bool:
        """Whether the repositories are those of a search, and not given."""
        return self.local is None and self.commits is None

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if self.local is not None and self.commits is not None:
            raise ValueError("local and commits exclude each other")
        return self


class PlacementSettings(Section):
    """The two readings of the published algorithm, and what a class is."""

    gate: Literal["as_text", "as_printed"] = "as_text"
    """``as_text``: loss_related is asked where no known loss is named, as the method's text says;
    ``as_printed``: only where one is, as its pseudocode says."""
    bases: Literal["follow", "ignore"] = "follow"
    """``follow``: the methods of base classes in the repository count for the class."""
    loss_functions: Path | None = None
    """A confirmed list of loss names (CSV) in place of the shipped one."""


class JudgeStudySettings(Section):
    """Who answers the questions, and how often each is asked."""

    kind: Literal["rules", "vllm", "openai", "replay"] = "rules"
    model: str = "mistralai/Mixtral-8x7B-Instruct-v0.1"
    revision: str | None = None
    base_url: str | Annotated[tuple[str, ...], Field(min_length=1)] = "http://localhost:8000/v1"
    """Of an OpenAI-compatible server, or of several with the same model; only for ``openai``."""
    votes: Annotated[int, Field(ge=1)] = 5
    spare_votes: Annotated[int, Field(ge=0)] = 2
    """So many further votes may be asked for where answers hold no readable decision."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_tokens: Annotated[int, Field(ge=1)] = 1024
    seed: int = 0
    context: Annotated[int, Field(ge=1)] | None = None
    """Tokens of the model's context, where a server does not tell; only for ``openai``."""
    concurrency: Annotated[int, Field(ge=1)] = 32
    """Requests under way at once, at each server; fewer where it cannot keep up. ``openai``."""
    timeout_s: Annotated[float, Field(gt=0)] = 600
    """For one request; only for ``openai``."""
    structured: bool = False
    """Have the engine constrain the end of each answer, so that every vote can be read."""
    engine: Mapping[str, Any] = Field(default_factory=dict)
    """Further arguments of vLLM's ``LLM``, such as ``tensor_parallel_size``; only for ``vllm``."""

    @model_validator(mode="after")
    def _samples_only_what_differs(self) -> Self:
        if self.temperature == 0 and self.votes > 1:
            raise ValueError("votes must be 1 at temperature 0, where all answers are equal")
        return self


class SavingsSettings(Section):
    """Which votes are left out. Only the last two can change a placement."""

    equal_code: bool = True
    """Snippets of equal text share their votes."""
    class_once: bool = True
    """Methods of a class share the answers about it."""
    stop_at_yes: bool = True
    """Of a class, one function after the other is asked, the likeliest first, until a yes."""
    early_stop: bool = True
    """Votes that cannot change the verdict are not asked for."""
    max_flip_risk: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """Nor, where set, are votes that change it with no more than this probability; see
    classify.stopping.flip_risk."""
    rules_gate: bool = False
    """The rules answer loss_related: what speaks of no loss is placed ``no_loss`` without asking.
    What repeats nothing is no training loop; see classify.gate."""


class PromptSettings(Section):
    """Which prompts a language model sees."""

    folder: Path | None = None
    """A folder with ``<question>.md`` for each question, in place of the shipped prompts."""
    version: Annotated[int, Field(ge=1)] = 1
    """Of the shipped prompts."""
    too_long: TooLong = "outline"
    """What becomes of a snippet whose prompt is too long for the model; see judges.shortening."""


class EvaluationSettings(Section):
    """What the placements are measured against."""

    gold: Path | None = None
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95


class ScaleSettings(Section):
    """What does the work: processes of this machine, or a Ray cluster. It changes no result."""

    engine: Literal["processes", "ray"] = "processes"
    workers: Annotated[int, Field(ge=1)] | None = None
    """Repositories worked on at once; unset: one for each core, of this machine or the cluster."""
    engines: Annotated[int, Field(ge=1)] | None = None
    """vLLM engines of the ``vllm`` judge on the cluster; unset: as many as it has GPUs for."""
    address: str = "auto"
    """Of the Ray cluster: ``auto`` for the one at hand, ``local`` to start one on this machine."""
    storage: str | None = None
    """Where clones and parts are kept for all machines to see, as fsspec names it
    (``s3://bucket/prefix``), or a folder; unset: in the run's, which they then must share."""

    @field_validator("storage")
    @classmethod
    def _ends_without_a_slash(cls, storage: str | None) -> str | None:
        return storage and storage.rstrip("/")

    @property
    def storage_folder(self) -> Path | None:
        """The storage, where it is the path of a folder."""
        return Path(self.storage) if self.storage and "://" not in self.storage else None


class Study(Section):
    """Everything that decides what a run holds."""

    name: str
    search: SearchSettings = SearchSettings()
    ranking: RankingSettings = RankingSettings()
    sensitivity: SensitivitySettings = SensitivitySettings()
    corpus: CorpusSettings = CorpusSettings()
    placement: PlacementSettings = PlacementSettings()
    judge: JudgeStudySettings = JudgeStudySettings()
    savings: SavingsSettings = SavingsSettings()
    prompts: PromptSettings = PromptSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    scale: ScaleSettings = ScaleSettings()

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ValueError("must be letters, digits, '.', '_' and '-', since it names a folder")
        return name


def read_study(path: Path) -> Study:
    """Read a study file (TOML, or the JSON of a run). Paths in it are taken from its own folder.

    Raises StudyError, which names the key at fault.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        fields = json_of(text) if path.suffix == ".json" else _toml_of(text)
        if not isinstance(fields, dict):
            raise ValueError("its JSON is no object")
    except OSError as error:
        raise StudyError(
            f"Expected a study file at {path}, found none that can be read ({error.strerror}); "
            f"see data/studies/ for examples."
        ) from error
    except ValueError as error:  # of TOML, JSON or UTF-8
        raise StudyError(
            f"Expected a study in {path}, found something that cannot be read ({error}); "
            "correct it, or give the study file that it was made from."
        ) from error
    try:
        study = Study.model_validate({"name": path.stem, **fields})
    except ValidationError as error:
        raise StudyError(_explain(error, str(path))) from None
    return _anchored(study, path.parent)


def _toml_of(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def default_study(local: Path | None) -> Study:
    """Return the study of a local folder with every setting at its default, named after it.

    Raises StudyError without a folder.
    """
    if local is None:
        raise StudyError(
            "Expected a study file, the folder of a run, or --local DIR, found none of them; "
            "give one, see data/studies/ for examples."
        )
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", local.resolve().name).strip("-.") or "local"
    return Study(name=name)


def write_study(study: Study, path: Path) -> None:
    """Write a study so that ``read_study`` gives it back, wherever both folders are moved."""
    here = path.parent.resolve()

    def relative(place: Path | None) -> str | None:
        return None if place is None else os.path.relpath(place.resolve(), here)

    fields = study.model_dump(mode="json", exclude_none=True)
    for section, key, place in (
        ("corpus", "local", study.corpus.local),
        ("corpus", "commits", study.corpus.commits),
        ("prompts", "folder", study.prompts.folder),
        ("placement", "loss_functions", study.placement.loss_functions),
        ("evaluation", "gold", study.evaluation.gold),
        ("scale", "storage", study.scale.storage_folder),
    ):
        if place is not None:
            fields[section][key] = relative(place)
    write_atomically(path, json.dumps(fields, indent=1) + "\n")


def override(study: Study, **sections: Mapping[str, Any]) -> Study:
    """Return the study with some keys changed: ``override(s, ranking={"top": 8})``.

    Keys given as None stay as they are.
    """
    changes = {
        section: getattr(study, section).model_copy(
            update={key: value for key, value in values.items() if value is not None}
        )
        for section, values in sections.items()
    }
    try:
        return Study.model_validate(study.model_copy(update=changes).model_dump())
    except ValidationError as error:
        raise StudyError(_explain(error, "the command line")) from None


def utc(moment: datetime) -> str:
    """Return an instant as GitHub writes it: ``2024-02-20T00:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _anchored(study: Study, folder: Path) -> Study:
    def anchor(path: Path | None) -> Path | None:
        return None if path is None else Path(os.path.normpath(folder / path))

    storage = study.scale.storage
    if (place := study.scale.storage_folder) is not None:  # absolute, since workers are elsewhere
        storage = str((folder / place).resolve())
    return study.model_copy(
        update={
            "corpus": study.corpus.model_copy(
                update={
                    "local": anchor(study.corpus.local),
                    "commits": anchor(study.corpus.commits),
                }
            ),
            "prompts": study.prompts.model_copy(update={"folder": anchor(study.prompts.folder)}),
            "placement": study.placement.model_copy(
                update={"loss_functions": anchor(study.placement.loss_functions)}
            ),
            "evaluation": study.evaluation.model_copy(
                update={"gold": anchor(study.evaluation.gold)}
            ),
            "scale": study.scale.model_copy(update={"storage": storage}),
        }
    )


def _explain(error: ValidationError, where: str) -> str:
    """Say the first fault of a validation in one sentence, with the key's whole name."""
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        siblings = _keys_beside(fault["loc"])
        return (
            f"Expected a known key in {where}, found {key!r}; "
            f"delete it, or give one of these: {', '.join(siblings)}."
        )
    return (
        f"Expected a valid {key!r} in {where}, found {fault['input']!r} ({fault['msg']}); mend it "
        "there."
    )


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Study
    for part in location[:-1]:
        field = section.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type):
            break
        section = field.annotation
    return list(section.model_fields)
