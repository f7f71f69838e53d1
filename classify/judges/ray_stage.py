"""The engine of the judge in classify.judges.ray, in the workers of a Ray cluster.

Only imported where Ray and vLLM are there. Rows of pickled requests come in (see
classify.judges.ray_source), and completions go out in the same way.
"""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import ray
from ray.llm._internal.batch.stages.vllm_engine_stage import vLLMEngineStageUDF

from classify.errors import JudgeError
from classify.judges import Completion, Request
from classify.judges.asking import Asking
from classify.judges.chat import Chat
from classify.judges.engine import brief, not_loaded, provenance
from classify.judges.ray_source import Numbered
from classify.judges.shortening import Shortener
from mining.study import JudgeStudySettings


class JudgingStage(vLLMEngineStageUDF):
    """Ray's vLLM engine, asked just as the engine of one process is.

    Ray's own stage draws one answer to a row, and does not tell how it ended.
    """

    def __init__(
        self,
        *engine: Any,
        opened: Any,
        judge: JudgeStudySettings,
        shortener: Shortener | None,
        chat_template: str | None,
        **engine_too: Any,
    ) -> None:
        """Start the engine, known to ``opened``; what is not named here is for Ray's stage.

        Raises JudgeError if it cannot.
        """
        opened.meet.remote(ray.get_runtime_context().current_actor)
        try:
            super().__init__(*engine, **engine_too)
        except Exception as error:
            raise not_loaded(judge, error, "Ray's logs") from error
        self.expected_input_keys = {"requests"}
        config = self.llm.engine.vllm_config
        chat = Chat(self.llm.engine.get_tokenizer(), chat_template)
        context = config.model_config.max_model_len
        self._asking = Asking(judge, shortener, chat, context, provenance(config))
        self._names = map(str, count())

    async def udf(  # type: ignore[override, misc]
        self, batch: list[dict[str, Any]]
    ) -> AsyncIterator[dict[str, Any]]:
        """Answer the requests of each row."""
        for row in batch:
            requests: Numbered = pickle.loads(row.pop("requests"))
            answered = await asyncio.gather(*map(self._answer, requests.values()))
            completions = dict(zip(requests, answered, strict=True))
            place = row[self.IDX_IN_BATCH_COLUMN]
            yield {self.IDX_IN_BATCH_COLUMN: place, "completions": pickle.dumps(completions)}

    async def _answer(self, request: Request) -> Completion | JudgeError:
        from vllm import TokensPrompt
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            asked = self._asking.asked(request)
            if isinstance(asked, str):
                return Completion(request, error=asked, refused=True)
            outputs = self.llm.engine.generate(
                TokensPrompt(prompt_token_ids=asked.tokens), asked.params, next(self._names)
            )
            async for output in outputs:
                if output.finished:
                    return self._asking.completion(asked, output)
            return Completion(request, error="the engine ended without an answer")
        except JudgeError as error:
            return error
        except VLLMClientError as error:
            return Completion(request, error=brief(error), refused=True)
        except EngineDeadError:
            # as in Ray's stage: with this process, Ray starts both again, and asks again
            os._exit(1)
        except Exception as error:
            return Completion(request, error=f"the engine failed ({brief(error)})")
