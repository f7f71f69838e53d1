"""The text that a language model sees: a prompt for each question, the snippet fenced in.

Code under judgement is hostile input: no snippet can close its fence, nor speak to the model
in the control tokens of a chat template.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from classify.errors import PromptError
from classify.judges import Messages
from classify.questions import Ask, Question
from mining.shipped import shipped

_FENCED = "{code}"
"""Stands for the snippet inside a fence of ours."""
_BARE = "{code_contents}"
"""Stands for the snippet alone, for prompts that bring their own fence of three backticks."""

_CONTROL = re.compile(
    r"<(?=\|)|(?<=\|)>"  # <|im_start|> and its like
    r"|\[(?=/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|IMG)\])"
    r"|<(?=/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn)>)"
    r"|<(?=</?SYS>>)"
    "|<(?=\uff5c)|(?<=\uff5c)>"  # the full-width bars of some templates
)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The four templates. ``messages`` renders one ask; equal code gives equal messages."""

    templates: Mapping[Question, str]

    @property
    def sha256(self) -> str:
        """One hash over the four texts."""
        texts = json.dumps([self.templates[question] for question in Question])
        return hashlib.sha256(texts.encode()).hexdigest()

    def messages(self, ask: Ask) -> Messages:
        """Return the conversation to send: one message by the user."""
        template = self.templates[ask.question]
        code = without_control_tokens(ask.snippet.code)
        placeholder, text = (
            (_FENCED, fenced(code)) if _FENCED in template else (_BARE, unfencing(code))
        )
        before, _, after = template.partition(placeholder)
        return (("user", f"{before}{text}{after}".strip()),)


def read_prompts(folder: Path | None = None, version: int = 1) -> Prompts:
    """Read the shipped prompts of a version, or ``<question>.md`` from a user's folder.

    Raises PromptError for a missing file, or one without exactly one placeholder.
    """
    return Prompts(
        {
            question: _read(
                folder / f"{question}.md"
                if folder is not None
                else shipped(f"prompts/{question}/v{version}.md")
            )
            for question in Question
        }
    )


def fenced(code: str) -> str:
    """Return code inside a Markdown fence that is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{code}\n{fence}"


def unfencing(code: str) -> str:
    """Return code in which no run of backticks can close a fence of three."""
    return re.sub("`{3,}", lambda run: " ".join(run[0]), code)


def without_control_tokens(code: str) -> str:
    """Return code in which the control tokens of chat templates are broken by a space.

    A tokenizer would otherwise turn ``[/INST]`` or ``<|im_end|>`` in a snippet into the end of
    the user's turn.
    """
    return _CONTROL.sub(lambda match: f"{match[0]} " if match[0] != ">" else " >", code)


def _read(path: Path) -> str:
    try:
        template = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise PromptError(
            f"Expected a prompt at {path}, found none that can be read ({reason}); "
            f"a folder of prompts holds {', '.join(f'{q}.md' for q in Question)}."
        ) from error
    places = template.count(_FENCED) + template.count(_BARE)
    if places != 1:
        raise PromptError(
            f"Expected one place for the code in {path}, found {places}; write {_FENCED} once "
            f"(or {_BARE}, where the prompt brings its own fence)."
        )
    return template
