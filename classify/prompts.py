"""The text that a language model sees: a prompt for each question, the snippet fenced in.

Code under judgement is hostile input: no snippet can close its fence, nor speak to the model
in the control tokens of a chat template.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from classify.errors import PromptError
from classify.judges import Messages
from classify.questions import Ask, Question
from mining.shipped import shipped

_FENCED = "{code}"
"""Stands for the snippet inside a fence of ours."""
_BARE = "{code_contents}"
"""Stands for the snippet alone, for prompts that bring their own fence of three backticks."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what a reader does not see: control and format characters (of zero
width, of direction), lone surrogates, separators of lines."""

_CONTROL = re.compile(
    r"<(?=\|)|(?<=\|)>"  # <|im_start|> and its like
    r"|\[(?=/?(?:g|s)?(?:INST|SYS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS"
    r"|TOOL_CONTENT|ARGS|CALL_ID|THINK|IMG|IMG_BREAK|IMG_END|AUDIO|BEGIN_AUDIO"
    r"|PREFIX|MIDDLE|SUFFIX|MASK)\])"
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|sep|cls|sop|eop|eod|eot|eoh|eoa|eom"
    r"|(?:BOS|EOS|PAD|UNK|MASK|SEP|CLS)_TOKEN|SPECIAL_\d+"
    r"|(?:start|end)_of_\w+|image_soft_token|(?:un)?used_?\d+|reserved_\w*\d+|extra_id_\d+"
    r"|think|tool_call|tool_response|fim_\w+|file_sep|repo_name|gh_stars|filename)>)"
    r"|<(?=</?SYS>>)"
)
"""Where a control token of a chat template begins or ends, in text without compatibility forms."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The four templates. ``messages`` renders one ask; equal code gives equal messages."""

    templates: Mapping[Question, str]

    @property
    def sha256(self) -> str:
        """One hash over the four texts."""
        texts = json.dumps([self.templates[question] for question in Question])
        return hashlib.sha256(texts.encode()).hexdigest()

    def messages(self, ask: Ask, code: str | None = None) -> Messages:
        """Return the conversation to send: one message by the user.

        ``code`` stands in for the snippet's own, where that is too long.
        """
        template = self.templates[ask.question]
        code = harmless(ask.snippet.code if code is None else code)
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
    longest = max((len(run) for run in re.findall("`+", _folded(code))), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{code}\n{fence}"


def unfencing(code: str) -> str:
    """Return code in which no run of backticks can close a fence of three."""
    runs = [run.span() for run in re.finditer("`{3,}", _folded(code))]
    return _spaced(code, [place for start, end in runs for place in range(start + 1, end)])


def harmless(code: str) -> str:
    r"""Return code that reads the same and cannot speak as anybody but the user.

    Characters that nobody sees (of zero width, of direction, control characters) become their
    escapes in Python, such as ``\u202e``. The control tokens of the known families of chat
    templates are broken by a space, also in full-width letters, which some tokenizers take for
    the plain ones: a tokenizer would otherwise turn ``[/INST]`` or ``<|im_end|>`` in a snippet
    into the end of the user's turn.
    """
    visible = code.translate({ord(c): _escaped(c) for c in set(code) if _is_unseen(c)})
    places = [
        match.start() if match[0] == ">" else match.end()
        for match in _CONTROL.finditer(_folded(visible))
    ]
    return _spaced(visible, places)


def _is_unseen(character: str) -> bool:
    return character not in "\t\n\f\r" and unicodedata.category(character) in _UNSEEN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _folded(text: str) -> str:
    """Return text of the same length, with the plain form of each compatibility character."""
    if text.isascii():
        return text
    plain = {c: unicodedata.normalize("NFKC", c) for c in set(text)}
    return text.translate({ord(c): p for c, p in plain.items() if len(p) == 1})


def _spaced(text: str, places: list[int]) -> str:
    """Return text with a space inserted before each place; places ascend."""
    bounds = [0, *places, len(text)]
    return " ".join(text[start:end] for start, end in pairwise(bounds))


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
