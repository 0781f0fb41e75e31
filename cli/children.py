"""Commands that hand over to other programs of this checkout: the lab (never imported), serving, the benchmarks."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from cli.exits import DependencyMissing
from config.errors import InputRefused

ROOT = Path(__file__).resolve().parent.parent
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def lab(
    context: typer.Context,
    users: Annotated[int, typer.Option(min=0, help="How many sample people the tenant holds.")] = 200,
    control_port: Annotated[int, typer.Option(help="Port of the control endpoint; 0 picks a free one.")] = 0,
    snapshot: Annotated[
        Path | None, typer.Option(help="Load this snapshot of a tenant instead of sample people.")
    ] = None,
) -> None:
    """Start a stand-in tenant on this machine; more options are passed on (see docs/lab.md)."""
    if importlib.util.find_spec("psrpcore") is None:
        raise DependencyMissing("the lab needs libraries that are not installed ; run: make env")
    loaded = ["--snapshot", str(snapshot)] if snapshot else []
    become("lab", "--users", str(users), "--control-port", str(control_port), *loaded, *context.args)


def serve(
    context: typer.Context,
    mapping: Annotated[Path, typer.Option(help="Feed mapping for files and for the nightly run.")],
    feeds: Annotated[
        Literal["lifecycle", "onboarding"],
        typer.Option(help="What files and the nightly run start: joiners, movers and leavers, or joiners alone."),
    ] = "lifecycle",
) -> None:
    """Serve the deployments on a Prefect server and watch the drop folder; more options are passed on."""
    become("deployments.serve", "--mapping", str(mapping), "--feeds", feeds, *context.args)


def listen(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="Port to listen at; default: the setting listen.port.")] = None,
) -> None:
    """Take events of HR systems, SCIM and lifecycle workflows over HTTP; each starts a run."""
    become("deployments.listen", *(["--port", str(port)] if port is not None else []), *context.args)


def bench(
    name: Annotated[str, typer.Argument(help="Which benchmark; without one they are listed.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON line only.")] = False,
) -> None:
    """Measure one promised figure on this machine; the last line is JSON."""
    known = benchmarks()
    if name not in known:
        listed = ", ".join(known) or "none"
        raise InputRefused(f"no benchmark called '{name}'", where="bench", remedy=f"choose one of: {listed}")
    become(f"benchmarks.{name}", *(["--json"] if as_json else []))


def benchmarks() -> list[str]:
    """Name the benchmarks of this checkout: files that cannot be run only serve them."""
    folder = ROOT / "benchmarks"
    run = [path.stem for path in folder.glob("*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
    return sorted([*run, *(path.parent.name for path in folder.glob("*/__main__.py"))])


def become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by a module of the checkout: signals and exit code are then its own."""
    sys.stdout.flush()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *arguments], environment)  # noqa: S606 - no shell
