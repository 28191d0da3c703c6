"""How long commands take that only say something: `--help` and lists, which import no torch.

    python benchmarks/start_up.py

Each command in a process of its own, taking turns with an interpreter that does nothing. Prints Markdown; writes nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import quantiles

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "aerepr --help": ["-m", "aerepr", "--help"],
    "aerepr train --help": ["-m", "aerepr", "train", "--help"],
    "aerepr plugins list": ["-m", "aerepr", "plugins", "list"],
    "aerepr models": ["-m", "aerepr", "models"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(parser.parse_args().rounds):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], capture_output=True, check=True)
            seconds[name].append(time.perf_counter() - began)
    print("| command | s, median (middle half) |\n|---|---|")
    for name, found in seconds.items():
        low, middle, high = quantiles(found, n=4)
        print(f"| `{name}` | {middle:.2f} ({low:.2f} to {high:.2f}) |")


if __name__ == "__main__":
    main()
