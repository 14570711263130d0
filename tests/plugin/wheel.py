"""Wheels of brokers, made by hand (PyPA's binary distribution format), and installed by pip."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ACME = Path(__file__).with_name("acme_broker.py")


def make_wheel(folder: Path, package: str, module: str, source: str, entry_points: str) -> Path:
    """A wheel of `package` 1.0 with one module and the entry points of a group `brokergate.brokers`."""
    info = f"{package}-1.0.dist-info"
    files = {
        f"{module}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[brokergate.brokers]\n{entry_points}\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    wheel = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return wheel


def install(wheel: Path, site: Path) -> None:
    """Install a wheel into a folder of its own, which is no part of this environment."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"),
            *("--disable-pip-version-check", "--target", site, wheel),
        ],
        check=True,
        timeout=120,
    )


def unpack(wheel: Path, site: Path) -> None:
    """Install a wheel as far as Python is concerned: quicker than pip."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def install_acme(folder: Path) -> Path:
    """The folder that the package `acme-broker` was installed into, to stand on `PYTHONPATH`."""
    wheel = make_wheel(
        folder, "acme_broker", "acme_broker", ACME.read_text("utf-8"), "acme = acme_broker:KIND"
    )
    install(wheel, folder / "site")
    return folder / "site"
