"""What the project depends on is pinned, bounded and, for the client, little."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture(scope="module")
def pyproject(project_root: Path) -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((project_root / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def pins(project_root: Path) -> dict[str, str]:
    """Version by name, of constraints.txt."""
    lines = (project_root / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def requirements(pyproject: dict[str, Any]) -> list[Requirement]:
    """Every requirement of the project and its extras, but for the project itself."""
    project = pyproject["project"]
    texts = [*project["dependencies"], *pyproject["build-system"]["requires"]]
    for extra in project["optional-dependencies"].values():
        texts += extra
    return [Requirement(text) for text in texts if not text.startswith("brokergate[")]


def test_every_requirement_is_bounded_below_and_pinned(
    pyproject: dict[str, Any], pins: dict[str, str]
) -> None:
    """A lower bound that was tested, and an exact version that satisfies it."""
    for requirement in requirements(pyproject):
        assert any(bound.operator in {">=", "=="} for bound in requirement.specifier), requirement
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is not in constraints.txt; run 'make lock'"
        assert requirement.specifier.contains(pin), f"{requirement} does not allow its pin {pin}"


def test_the_grpc_family_has_one_version(pins: dict[str, str]) -> None:
    """grpcio and what is released with it move together, and the generator with them."""
    family = {name: version for name, version in pins.items() if name.startswith("grpcio")}
    assert set(family.values()) == {pins["grpcio"]}, family


def test_the_client_needs_grpc_and_protobuf_alone(pyproject: dict[str, Any]) -> None:
    """Everything else is an extra."""
    names = {Requirement(text).name for text in pyproject["project"]["dependencies"]}
    assert names == {"grpcio", "protobuf"}


def test_ci_runs_on_every_python_that_is_claimed(pyproject: dict[str, Any], project_root: Path) -> None:
    """The matrix of the workflow and the classifiers name the same versions."""
    claimed = {
        classifier.rpartition(" ")[2]
        for classifier in pyproject["project"]["classifiers"]
        if classifier.startswith("Programming Language :: Python :: 3.")
    }
    workflow = yaml.safe_load((project_root / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    assert set(workflow["jobs"]["ci"]["strategy"]["matrix"]["python"]) == claimed
