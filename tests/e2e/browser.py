"""A real browser, Debian's Chromium without a window."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tools.install_browser import OPTIONAL, find_browser


@contextmanager
def open_browser() -> Iterator[webdriver.Chrome]:
    """Without one the test fails, unless BROKERGATE_BROWSER_OPTIONAL=1."""
    found = find_browser()
    if found is None:
        if os.environ.get(OPTIONAL) == "1":
            pytest.skip(f"no browser, and {OPTIONAL}=1")
        pytest.fail(f"there is no browser; run tools/install_browser.py as root, or set {OPTIONAL}=1")
    browser, its_driver = found
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    # In a container there is neither a sandbox for root nor much shared memory.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(its_driver))
    try:
        yield made
    finally:
        made.quit()
