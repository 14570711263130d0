"""Each client's own checks and tests, by its own tools."""

from __future__ import annotations

import subprocess

import pytest

from tests.clients.test_conformance import BUILD_TIMEOUT_S
from tools.clients import LANGUAGES, Language


@pytest.mark.timeout(BUILD_TIMEOUT_S)
@pytest.mark.parametrize(
    "language", [each for each in LANGUAGES if each.name != "python"], ids=lambda each: each.name
)
def test_a_client_passes_its_own_checks_and_tests(language: Language) -> None:
    """Formatter, linter and unit tests; run again when a source of it or of the contract has changed."""
    if language.left_out:
        pytest.skip(f"{language.name} left out: {language.left_out}")
    try:
        language.test()
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error}\n{error.stdout}")
