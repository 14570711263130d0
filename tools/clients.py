"""The clients' languages: what each needs, how it is built, and how its runner is started.

Usage: python tools/clients.py list
       python tools/clients.py build [LANGUAGE ...]
       python tools/clients.py test [LANGUAGE ...]

A client is built by its `build.sh` and tested by its `test.sh`, each again only when a source of it, or the contract,
has changed since it last went well. Languages whose toolchain is not there are left out, and said to be. In the
environment BROKERGATE_CLIENTS=all makes that an error, and BROKERGATE_CLIENTS="python go" leaves out all others.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "clients"
BUILD_TIMEOUT_S = 1800.0

# What a build leaves in a client's folder, and so is no source.
_MADE = {"build", "target", "node_modules", "dist", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Language:
    """A client. `programs` are what a machine must have to build it; `files` of which one must be there, unless
    `build.sh` can install them by apt, as root."""

    name: str
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    by_apt: bool = False

    @property
    def folder(self) -> Path:
        """Where it is."""
        return CLIENTS / self.name

    @property
    def missing(self) -> str:
        """What of its toolchain the machine does not have, or that there is no client; empty where all is there."""
        if not (self.folder / "build.sh").exists() and self.name != "python":
            return "no build.sh"
        lacking = [program for program in self.programs if shutil.which(program) is None]
        installs = self.by_apt and os.geteuid() == 0 and shutil.which("apt-get") is not None
        if self.files and not installs and not any(Path(file).exists() for file in self.files):
            lacking.append(self.files[0])
        return ", ".join(lacking)

    @property
    def runner(self) -> list[str]:
        """The command of its conformance runner, once it is built."""
        if self.name == "python":
            return [sys.executable, str(self.folder / "conformance" / "runner.py")]
        return [str(self.folder / "build" / "runner")]

    @property
    def market_maker(self) -> list[str]:
        """The command of its example, once it is built."""
        if self.name == "python":
            return [sys.executable, str(self.folder / "examples" / "market_maker.py")]
        return [str(self.folder / "build" / "market_maker")]

    @property
    def left_out(self) -> str:
        """Why it is not to be built or tested here; empty where it is. Raises `RuntimeError` where it must be."""
        wanted = os.environ.get("BROKERGATE_CLIENTS", "")
        if self.missing and wanted == "all":
            raise RuntimeError(f"{self.name}: {self.missing}, and BROKERGATE_CLIENTS=all")
        if wanted not in ("", "all") and self.name not in wanted.split():
            return f"BROKERGATE_CLIENTS={wanted}"
        return self.missing

    def build(self) -> None:
        """Build it, unless it is built. Raises `subprocess.CalledProcessError` with the output where that fails."""
        if self.name != "python":
            self._run("build.sh")

    def test(self) -> None:
        """Run its own checks and tests, unless these sources have passed them. Raises as `build`."""
        if self.name != "python":
            self.build()
            self._run("test.sh")

    def _run(self, script: str) -> None:
        stamp = self.folder / "build" / f".{script}.passed"
        with self._alone():
            sources = self._sources()
            if stamp.exists() and stamp.read_text("ascii") == sources:
                return
            stamp.unlink(missing_ok=True)
            subprocess.run(
                [self.folder / script],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=BUILD_TIMEOUT_S,
                check=True,
                env=os.environ | {"PYTHON": sys.executable},
            )
            stamp.write_text(sources, "ascii")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Held by one process at a time: two builds in one folder spoil each other."""
        folder = self.folder / "build"
        folder.mkdir(exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _sources(self) -> str:
        """A hash over all that the client is made from."""
        digest = hashlib.sha256()
        folders = (self.folder, ROOT / "proto")
        files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
        for path in files:
            if not _MADE.intersection(path.relative_to(ROOT).parts):
                digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode & 0o111}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


LANGUAGES = (
    Language("python"),
    Language("go", ("go",)),
    Language("typescript", ("node", "npm")),
    Language("java", ("java", "mvn")),
    Language("rust", ("cargo",)),
    Language("cpp", ("cmake", "g++", "make"), ("/usr/include/grpcpp/grpcpp.h",), by_apt=True),
)


def language(name: str) -> Language:
    """The language of this name. Raises `KeyError`."""
    return {each.name: each for each in LANGUAGES}[name]


def main() -> int:
    """Do what the command line says, for the languages that it names or for all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["list", "build", "test"])
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE")
    options = parser.parse_args()
    failed = False
    for each in [language(name) for name in options.languages] or LANGUAGES:
        try:
            reason = each.missing if options.languages else each.left_out
        except RuntimeError as error:
            print(error)
            failed = True
            continue
        if reason:
            print(f"{each.name}: left out ({reason})")
            failed = failed or bool(options.languages)
        elif options.what == "list":
            print(f"{each.name}: {' '.join(each.runner)}")
        else:
            began = time.monotonic()
            try:
                each.build() if options.what == "build" else each.test()
            except subprocess.CalledProcessError as error:
                print(f"{each.name}: {error}\n{error.stdout}")
                failed = True
            else:
                print(f"{each.name}: {options.what} done ({time.monotonic() - began:.1f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
