"""Where tokens go among a policy's experts, by task and phase: a page, and its figures as one JSON line.

python benchmarks/routing.py --policy runs/experts --data data/all --out outputs/routing.html
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from ideomotor.control.errors import UserError
from ideomotor.train.reporting.routing_page import routing_page
from ideomotor.train.routing import routing
from ideomotor.vla.networks import PolicyNetworks


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--policy", required=True, metavar="DIR", help="trained with decoder.experts above 0")
    parser.add_argument("--data", required=True, nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--windows", type=int, default=400, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("routing.html"), metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        found = routing(PolicyNetworks.from_pretrained(options.policy), options.data, options.windows)
    except UserError as error:
        parser.error(str(error))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(routing_page(found, options.policy), encoding="utf-8")
    places = {f"{task}, {phase}": counts.tolist() for (task, phase), counts in sorted(found.counts.items())}
    figures = {"windows": sum(found.windows.values()), "unused": found.unused()}
    print(json.dumps(figures | {"explained_by_place": found.explained_by_place(), "tokens": places}))


if __name__ == "__main__":
    main()
