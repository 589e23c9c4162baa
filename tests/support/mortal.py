"""Processes that end between any two steps."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from typing import Any


class Killed(BaseException):
    """The process is gone."""


class Life:
    """A process that ends at its step number `last`, before or after what it does there."""

    def __init__(self, last: int = -1, *, after: bool = False) -> None:
        self.last = last
        self.after = after
        self.steps = 0
        self.over = False

    def enter(self) -> None:
        self.steps += 1
        self.over = self.over or (self.steps == self.last and not self.after)
        if self.over:
            raise Killed

    def leave(self) -> None:
        self.over = self.over or (self.steps >= self.last > 0 and self.after)
        if self.over:
            raise Killed


class Mortal:
    """What a process reaches through here is out of its reach when it has ended."""

    def __init__(self, there: Any, life: Life) -> None:
        self._there = there
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._there, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            self._life.enter()
            answer = await method(*arguments, **options)
            self._life.leave()
            return answer

        async def pieces(*arguments: Any, **options: Any) -> AsyncGenerator[Any]:
            self._life.enter()
            async for piece in method(*arguments, **options):
                yield piece
                self._life.leave()

        def call_at_once(*arguments: Any, **options: Any) -> Any:
            self._life.enter()
            answer = method(*arguments, **options)
            self._life.leave()
            return answer

        if inspect.isasyncgenfunction(method):
            return pieces
        if inspect.ismethod(method) and not inspect.iscoroutinefunction(method):
            return call_at_once
        return call
