"""Lists of the gateway: whole ones, and those that come in pages. Both say where the journal stood."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing(Sequence[T]):
    """A whole list. A stream that starts after `cursor` misses nothing that the list does not show."""

    items: tuple[T, ...]
    cursor: str
    stale: bool = False
    """Whether the broker is away, or did not answer, and this is what was known last: not to be traded by."""
    as_of_ns: int = 0
    """When the broker said so; 0 where it has not since the gateway started."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: its items, the token of the next (empty on the last), and where the journal stood."""

    items: Iterable[T]
    next_page_token: str
    cursor: str = ""


class Pages(AsyncIterator[T]):
    """A long list, read page by page as it is iterated: `async for order in gateway.orders("paper")`.

    `cursor` is empty until the first item is there; then it is where the journal stood at the first page, so that a
    stream that starts after it misses nothing that the list does not show.
    """

    def __init__(self, read: Callable[[str], Awaitable[Page[T]]]) -> None:
        self.cursor = ""
        self._read = read
        self._items = self._all()

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items

    async def __anext__(self) -> T:
        return await anext(self._items)

    async def _all(self) -> AsyncIterator[T]:
        page = await self._read("")
        self.cursor = page.cursor
        while True:
            for item in page.items:
                yield item
            if not page.next_page_token:
                return
            page = await self._read(page.next_page_token)
