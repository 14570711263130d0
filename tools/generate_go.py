"""Write clients/go/brokergate/v1 from proto/, or say with --check whether that would change anything.

buf runs the two plugins of buf.gen.yaml, which `go install` builds into .tools/bin at the versions below. The plugins
write their versions into the code, and Go's module list (clients/go/go.mod) names the libraries that it needs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.generate import differences  # noqa: E402
from tools.install_grpcurl import environment, find_go  # noqa: E402

BIN = ROOT / ".tools" / "bin"
PACKAGE = Path("clients/go/brokergate/v1")
PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.1",
}


def install_plugins() -> None:
    """Put the plugins into .tools/bin where they are not there at their versions."""
    for name, module in PLUGINS.items():
        version = module.rpartition("@")[2].removeprefix("v")
        program = BIN / name
        if program.exists():
            shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
            if shown.stdout.split()[-1:] in ([version], [f"v{version}"]):
                continue
        BIN.mkdir(parents=True, exist_ok=True)
        subprocess.run([find_go(), "install", module], env=environment(program), check=True)


def generate(out: Path) -> None:
    """Generate all of proto/ under `out`, as buf.gen.yaml says. Raises `SystemExit` with buf's own message."""
    buf = Path(sys.executable).parent / "buf"
    path = os.pathsep.join((str(BIN), os.environ.get("PATH", "")))
    command = [str(buf), "generate", "--output", str(out)]
    if subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=False).returncode:
        raise SystemExit("buf did not generate clients/go: see above")


def generated(package: Path) -> dict[str, str]:
    """Name and text of each generated file."""
    return {path.name: path.read_text("utf-8") for path in sorted(package.glob("*.pb.go"))}


def main(arguments: list[str] | None = None) -> int:
    """Generate; with --check change nothing and return 1 if the checked-in code is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if the checked-in code is stale"
    )
    options = parser.parse_args(arguments)
    install_plugins()
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        new = generated(Path(folder) / PACKAGE)
    target = ROOT / PACKAGE
    old = generated(target)
    if options.check:
        found = differences(old, new)
        if found:
            print("\n\n".join(found))
            print(f"\n{len(found)} generated files are stale: run `make generate` and commit {PACKAGE}/")
        return 1 if found else 0
    target.mkdir(parents=True, exist_ok=True)
    for name in old.keys() - new.keys():
        (target / name).unlink()
    for name, text in new.items():
        if old.get(name) != text:
            (target / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
