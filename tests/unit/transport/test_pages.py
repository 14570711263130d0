from __future__ import annotations

from brokergate.transport.pages import MAX_PAGE_BYTES, fit


def page(sizes: list[int], limit: int) -> tuple[list[int], str]:
    rows = list(enumerate(sizes))
    bodies, token = fit(rows, limit, lambda row: b"x" * row[1], lambda row: f"after {row[0]}")
    return [len(body) for body in bodies], token


def test_a_page_holds_what_was_asked_for() -> None:
    """With one row more than the limit there is a next page, after the last one shown; otherwise there is none."""
    assert page([1, 2, 3], 2) == ([1, 2], "after 1")
    assert page([1, 2], 2) == ([1, 2], "")
    assert page([], 2) == ([], "")


def test_a_page_fits_into_a_message() -> None:
    """Rows that would make the message too large go to the next page; a single one too large goes alone."""
    half = MAX_PAGE_BYTES // 2
    assert page([half, half, 1, 1], 10) == ([half, half], "after 1")
    assert page([2 * MAX_PAGE_BYTES, 1], 10) == ([2 * MAX_PAGE_BYTES], "after 0")
