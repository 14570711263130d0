"""Find Chromium and its driver, with which the replay's page is tried, or install Debian's.

Takes seconds where they are missing and a moment where they are not. Where they cannot be installed it says what to do
and fails; BROKERGATE_BROWSER_OPTIONAL=1 goes on without, and the tests that need a browser are skipped.

Usage: python tools/install_browser.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
"""What each of the two may be called."""
PACKAGES = ("chromium", "chromium-driver")
OPTIONAL = "BROKERGATE_BROWSER_OPTIONAL"


def find_browser() -> tuple[str, str] | None:
    """The paths of the browser and of its driver; None unless both are there."""
    found = [next(filter(None, map(shutil.which, names)), None) for names in NAMES]
    return (found[0], found[1]) if found[0] and found[1] else None


def install() -> bool:
    """Debian's packages, by apt; False where there is no apt or it may not."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    command = [apt, "install", "--yes", "--quiet", "--no-install-recommends", *PACKAGES]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}

    def run(arguments: list[str]) -> bool:
        return (
            subprocess.run(arguments, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0
        )

    # A bare image has no lists of packages, or old ones.
    return run(command) or (run([apt, "update", "--quiet"]) and run(command))


def main() -> int:
    """0 where there is a browser in the end, or none is wanted."""
    if find_browser() is not None:
        return 0
    if os.environ.get(OPTIONAL) == "1":
        print(f"no browser; {OPTIONAL}=1 goes on without, and its tests are skipped")
        return 0
    print(f"installing {' and '.join(PACKAGES)}")
    if install() and find_browser() is not None:
        return 0
    print(
        f"there is no browser to try the replay's page with; run 'apt-get install {' '.join(PACKAGES)}' as root, "
        f"or set {OPTIONAL}=1 to go on without",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
