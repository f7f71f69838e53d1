"""A conversation to tokens, so that no snippet speaks as the chat template.

The prompts break the control tokens of the known families; here the model's own tokenizer has
the last word: whatever it holds special is made of ordinary tokens where a snippet writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

from classify.judges import Messages


class TemplateError(ValueError):
    """A chat template does not take a conversation of these roles."""


class ChatError(ValueError):
    """A text cannot be given to the model without its control tokens acting."""


class Chat:
    """A tokenizer with its chat template (``template``: another in its place)."""

    def __init__(self, tokenizer: Any, template: str | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._own: dict[tuple[str, ...], int] = {}

    def tokens(self, messages: Messages) -> list[int]:
        """Return the tokens to generate from. Special ones are those of the template alone.

        Raises TemplateError or ChatError.
        """
        try:
            tokens = cast("list[int]", self._rendered(messages, tokenize=True, return_dict=False))
            roles = tuple(role for role, _ in messages)
            if roles not in self._own:
                plain = tuple((role, "x") for role in roles)
                rendered = self._rendered(plain, tokenize=True, return_dict=False)
                self._own[roles] = self._specials(cast("list[int]", rendered))
        except Exception as error:  # templates raise what they like
            raise TemplateError(str(error) or type(error).__name__) from error
        if self._specials(tokens) == self._own[roles]:
            return tokens
        tokens = self._apart(messages)
        if self._specials(tokens) != self._own[roles]:
            raise ChatError("the text holds control tokens which the tokenizer does not split")
        return tokens

    def _apart(self, messages: Messages) -> list[int]:
        """Return the tokens of the template around those of each message, each read by itself."""
        text = cast("str", self._rendered(messages, tokenize=False))
        tokens: list[int] = []
        for _, content in messages:
            before, found, text = text.partition(content)
            if not found:
                raise ChatError("the template changes what it is given")
            tokens += self._encoded(before)
            tokens += self._encoded(content, split_special_tokens=True)
        return tokens + self._encoded(text)

    def _rendered(self, messages: Messages, **how: Any) -> object:
        return self._tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in messages],
            chat_template=self._template,
            add_generation_prompt=True,
            **how,
        )

    def _encoded(self, text: str, **how: Any) -> list[int]:
        return cast("list[int]", self._tokenizer.encode(text, add_special_tokens=False, **how))

    def _specials(self, tokens: Sequence[int]) -> int:
        return sum(map(self._special.__contains__, tokens))

    @cached_property
    def _special(self) -> frozenset[int]:
        added = getattr(self._tokenizer, "added_tokens_decoder", {})
        return frozenset(self._tokenizer.all_special_ids) | {
            token for token, properties in added.items() if properties.special
        }
