"""Questions to a TWS that wait for their answers.

A question is known by its request id, or, where the protocol gives it none, by the message that ends its answer: of
those one at a time is asked, since two answers could not be told apart, and an answer that came too late would be taken
for the next one's (erdewit/ib_insync forgets the first for ever).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from brokergate.adapters.ibkr.errors import Asked
from brokergate.adapters.ibkr.frames import Frame

Key = int | str
"""A request id, or the name of the message that ends the answer."""


class Question:
    """One that was asked: what was told so far, and what it was about."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.told: list[Frame] = []
        self.answer: asyncio.Future[list[Frame]] = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        """The answer is complete."""
        if not self.answer.done():
            self.answer.set_result(self.told)

    def fail(self, error: Exception) -> None:
        """There is no answer."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Questions:
    """Those that wait."""

    def __init__(self) -> None:
        self._waiting: dict[Key, Question] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    def get(self, key: Key) -> Question | None:
        """The question that waits."""
        return self._waiting.get(key)

    def tell(self, key: Key, frame: Frame) -> None:
        """Part of an answer, where somebody waits for it."""
        if (question := self._waiting.get(key)) is not None:
            question.told.append(frame)

    def tell_all(self, frame: Frame) -> None:
        """What belongs to one of those that wait, and does not say to which."""
        for question in self._waiting.values():
            question.told.append(frame)

    def end(self, key: Key) -> None:
        """The end of an answer."""
        if (question := self._waiting.get(key)) is not None:
            question.end()

    def lock(self, key: str) -> asyncio.Lock:
        """Held by the one who asks a question without an id."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def wait(self, key: Key, asked: Asked, send: Callable[[], None]) -> list[Frame]:
        """Sends a question, and returns its complete answer. Raises what `send` or the answer raises."""
        question = self._waiting[key] = Question(asked)
        try:
            send()
            return await question.answer
        finally:
            del self._waiting[key]

    def unnumbered(self) -> list[Question]:
        """Those without an id."""
        return [question for key, question in self._waiting.items() if isinstance(key, str)]

    def fail(self, error: Exception) -> None:
        """Nobody will answer."""
        for question in self._waiting.values():
            question.fail(error)
        self._locks.clear()
