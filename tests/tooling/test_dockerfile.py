"""The image and the wheel, without a Docker daemon: the Dockerfile's steps run by hand in a clean folder."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile: its keyword, its argument as written, and the number of its stage."""

    keyword: str
    argument: str
    stage: int


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile, continuation lines joined, comments gone."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    instructions, stage = [], -1
    for line in filter(None, map(str.strip, joined.splitlines())):
        keyword, _, argument = line.partition(" ")
        stage += keyword == "FROM"
        instructions.append(Instruction(keyword, argument.strip(), stage))
    return instructions


@pytest.fixture(scope="module")
def dockerfile() -> list[Instruction]:
    """The project's Dockerfile."""
    return parse((ROOT / "Dockerfile").read_text("utf-8"))


def arguments(dockerfile: list[Instruction], keyword: str, stage: int) -> list[str]:
    """What one stage says with `keyword`."""
    return [step.argument for step in dockerfile if step.keyword == keyword and step.stage == stage]


def clean_environment() -> dict[str, str]:
    """The environment without what belongs to this test run's own Python."""
    ours = ("PYTHON", "VIRTUAL_ENV", "COV", "PYTEST")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def run(command: list[str] | str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command, a string in a shell, away from the checkout; it must succeed."""
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps `path` out of the build's context; its last matching line decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        parents = [path, *map(str, Path(path).parents)]
        if any(fnmatch.fnmatch(part, pattern) for part in (*parents, *Path(path).parts)):
            out = not line.startswith("!")
    return out


def context_files() -> list[str]:
    """The files of the checkout that a build would be given: those that git tracks or would, less the ignored."""
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).stdout.splitlines()
    return [path for path in listed if (ROOT / path).is_file() and not ignored(path)]


def copy(argument: str, workdir: Path) -> None:
    """What a COPY from the context does."""
    *sources, target = shlex.split(argument)
    for source in sources:
        found = [path for path in context_files() if path == source or path.startswith(f"{source}/")]
        assert found, f"COPY {source}: not in the build's context"
        for path in found:
            inside = Path(path).relative_to(source) if path != source else Path(path).name
            place = workdir / target / inside if path != source else workdir / target
            if target.endswith(("/", ".")) and path == source:
                place = workdir / target / path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, place)


def test_the_image_runs_as_nobody_special_and_watches_its_health(dockerfile: list[Instruction]) -> None:
    """Non-root in the last stage, the gRPC health service as the health check, and no port bound on its own."""
    last = max(step.stage for step in dockerfile)
    assert last >= 1, "one stage alone carries what built it"
    user = arguments(dockerfile, "USER", last)
    assert user
    assert user[-1] not in {"root", "0"}
    (health,) = arguments(dockerfile, "HEALTHCHECK", last)
    assert json.loads(health[health.index("[") :]) == ["brokergate", "health"]
    (command,) = arguments(dockerfile, "CMD", last)
    assert "--insecure" not in command
    assert "0.0.0.0" not in command
    for stage in range(last + 1):
        assert arguments(dockerfile, "FROM", stage)[0].startswith("python:3.11-slim")


def test_the_context_holds_the_sources_and_no_secret() -> None:
    """.dockerignore lets in what the wheel is made of, and nothing else."""
    assert not ignored("pyproject.toml")
    assert not ignored("server/brokergate/__init__.py")
    assert not ignored("clients/python/brokergate_client/__init__.py")
    for path in (
        ".env",
        ".git/config",
        "data/journal.sqlite",
        "tests/conftest.py",
        ".venv/bin/python",
        "my.yaml",
    ):
        assert ignored(path), path
    assert ignored("server/brokergate/__pycache__/x.pyc")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_steps_of_the_image_give_a_gateway_that_starts(
    dockerfile: list[Instruction], tmp_path: Path
) -> None:
    """Every COPY and RUN of the first stage, by hand, in a clean folder; then the entry point of what it built."""
    image = tmp_path / "image"
    workdir, settings = image, dict[str, str]()
    python = tmp_path / "base"
    venv.create(python, with_pip=True)

    def inside(text: str) -> str:
        """The paths of the image, moved under the clean folder."""
        return re.sub(r"(?<![\w.}/])/(src|wheels|opt)\b", lambda found: str(image) + found.group(), text)

    for step in (step for step in dockerfile if step.stage == 0):
        match step.keyword:
            case "FROM":
                image.mkdir()
            case "WORKDIR":
                workdir = Path(inside(step.argument))
                workdir.mkdir(parents=True)
            case "ENV":
                settings |= dict(pair.split("=", 1) for pair in shlex.split(inside(step.argument)))
            case "COPY":
                copy(step.argument, workdir)
            case "RUN":
                path = f"{python / 'bin'}{os.pathsep}{os.environ['PATH']}"
                run(inside(step.argument), workdir, PATH=path, **settings)
            case other:
                pytest.fail(f"{other}: the first stage does something that this test does not know")

    (taken,) = [text for text in arguments(dockerfile, "COPY", 1) if text.startswith("--from=build")]
    built = Path(inside(shlex.split(taken)[1]))
    (entry,) = arguments(dockerfile, "ENTRYPOINT", 1)
    done = run([str(built / "bin" / json.loads(entry)[0]), "--help"], tmp_path)
    assert "serve" in done.stdout
    assert "health" in done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built once for the tests of this module."""
    folder = tmp_path_factory.mktemp("wheel")
    python = folder / "venv"
    venv.create(python, with_pip=True)
    pip = [str(python / "bin" / "python"), "-m", "pip", "wheel", "--quiet", "--no-deps"]
    run([*pip, "--wheel-dir", str(folder), str(ROOT)], folder)
    (found,) = folder.glob("brokergate-*.whl")
    return found


def lowest(requirement: str) -> str:
    """The lowest version that a requirement allows, exactly."""
    parsed = Requirement(requirement)
    (bound,) = [bound for bound in parsed.specifier if bound.operator == ">="]
    return f"{parsed.name}=={bound.version}"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("versions", ["newest", "lowest"])
def test_the_bare_wheel_is_the_client_and_brings_nothing_of_the_server(
    wheel: Path, tmp_path: Path, versions: str
) -> None:
    """With no extra, grpcio and protobuf come along, in any version that is allowed, and the client imports."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    exact = [lowest(requirement) for requirement in dependencies] if versions == "lowest" else []
    run([python, "-m", "pip", "install", "--quiet", str(wheel), *exact], tmp_path)
    listed = json.loads(run([python, "-m", "pip", "list", "--format=json"], tmp_path).stdout)
    installed = {package["name"].lower().replace("_", "-") for package in listed}
    assert installed - {"pip", "setuptools"} == {"brokergate", "grpcio", "protobuf", "typing-extensions"}
    # Every module of both, not only the package's own front: each is a file that the wheel must hold.
    program = """
import importlib, pkgutil, brokergate_client, brokergate.v1
for package in (brokergate_client, brokergate.v1):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""
    run([python, "-W", "error", "-c", program], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_is_typed_and_holds_no_test(wheel: Path, tmp_path: Path) -> None:
    """Both packages carry py.typed, the stubs are in, and nothing that belongs to the checkout alone."""
    names = run(["python3", "-m", "zipfile", "-l", str(wheel)], tmp_path).stdout
    files = [line.split()[0] for line in names.splitlines()[1:]]
    assert "brokergate/py.typed" in files
    assert "brokergate_client/py.typed" in files
    assert any(name.startswith("brokergate/v1/") and name.endswith("_pb2_grpc.pyi") for name in files)
    tops = {name.split("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"brokergate", "brokergate_client"}
