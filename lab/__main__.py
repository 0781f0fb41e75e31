"""Starts the stand-in tenant: `python -m lab`; prints one JSON line when ready and runs until interrupted."""

from __future__ import annotations

import argparse
import gc
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab import fault_plan
from lab.clock import Clock
from lab.rules import Refusal
from lab.server import Lab, Ports
from lab.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the lab; exit status 2 means a wrong option or a port that is taken."""
    chosen = _options().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = _settings(chosen.set)
        plan = fault_plan.read(chosen.faults) if chosen.faults else {}
        settings.hybrid_share = chosen.hybrid or settings.hybrid_share
        folder = chosen.folder or Path(tempfile.mkdtemp(prefix="lab-"))
        ports = Ports(chosen.port, chosen.control_port, chosen.wsman_port, chosen.wsman_http_port)
        clock = Clock(runs=chosen.clock == "real")
        with Lab(
            folder,
            users=chosen.users,
            seed=chosen.seed,
            ports=ports,
            operators=chosen.operators,
            clock=clock,
            settings=settings,
            snapshot=chosen.snapshot,
        ) as lab:
            if plan:
                fault_plan.play(lab.parts, plan, chosen.faults)
            # The sample stays for good: the garbage collector need not walk through 20,000 people again and again.
            gc.freeze()
            sys.stdout.write(json.dumps(lab.endpoints) + "\n")
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except Refusal as refusal:
        sys.stderr.write(f"lab: {refusal.message}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"lab: cannot start: {error}; choose other ports with --port, --control-port, --wsman-port\n")
        return 2
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description="A stand-in tenant over the real protocols.")
    parser.add_argument("--users", type=int, default=200, help="how many sample people (200)")
    parser.add_argument("--hybrid", type=_share, default=0.0, metavar="SHARE", help="share of people on premises (0)")
    parser.add_argument("--snapshot", type=Path, help="load this snapshot of a tenant instead of sample people")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same tenant (1)")
    parser.add_argument("--port", type=int, default=0, help="HTTPS port of identity provider and Graph (any free)")
    parser.add_argument("--control-port", type=int, default=0, help="plain HTTP control port (any free)")
    parser.add_argument("--wsman-port", type=int, default=0, help="HTTPS port of PowerShell remoting (any free)")
    parser.add_argument("--wsman-http-port", type=int, default=0, help="the same without TLS, sealed messages only")
    parser.add_argument("--operators", type=int, default=1, help="how many accounts may open shells (1)")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="settings, state and faults to start with (JSON)")
    parser.add_argument("--folder", type=Path, help="where secrets, certificates and the call log go (a new one)")
    parser.add_argument("--clock", choices=("real", "set"), default="real", help="a set clock stands still (real)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, see GET /settings")
    return parser


def _share(text: str) -> float:
    """Read a share between 0 and 1."""
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share


def _settings(pairs: Sequence[str]) -> Settings:
    """Make the settings, with delays a person would notice, changed by NAME=VALUE texts."""
    settings = Settings(licence_delay_s=2.0, assignment_delay_s=0.3)
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        settings.change({name: value})
    return settings


if __name__ == "__main__":
    sys.exit(main())
