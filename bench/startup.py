"""How long a command takes that does next to nothing, beside a Python that does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import alternate, command, show


def run(runs: int = 31) -> None:
    xenwire = str(Path(sys.executable).parent / "xenwire")
    with tempfile.TemporaryDirectory(prefix="xw-") as folder:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {
            "XENWIRE_RUN": folder
        }
        version, listing, bare = alternate(
            runs,
            command([xenwire, "--version"], env),
            command([xenwire, "list"], env),
            command([sys.executable, "-c", "pass"], env),
        )
        subprocess.run([sys.executable, "-m", "bench.stop_store"], env=env, check=True)
    show("xenwire --version", version, "python -c pass", bare, 5)
    show("xenwire list", listing, "python -c pass", bare, 15)
