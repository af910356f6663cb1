"""What an interpreter's plan costs with more cameras and a longer history: all tokens read, or pooled ones.

    python benchmarks/context.py --out outputs/context.html   # 1 to 8 cameras, 1 to 16 moments
    python benchmarks/context.py --short

Networks are untrained and of `nano`'s size: what a plan costs does not depend on its weights. A moment of
the past counts as one more picture of each camera. Time is of one core, the median of several plans, the two
kinds in turn; operations are counted. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from ideomotor.train.reporting.charts import Line, chart
from ideomotor.train.reporting.page import filled_page
from ideomotor.vla.interpreter.interpreter import Interpreter, InterpreterConfig
from ideomotor.vla.interpreter.language import train_tokenizer
from ideomotor.vla.interpreter.nano import nano_vlm

KINDS = {"all tokens": 0, "pooled to 16": 16}  # {kind: context tokens}


def interpreters(pictures: int) -> dict[str, Interpreter]:
    """One of each kind, for so many pictures."""
    tokenizer = train_tokenizer(["reach the red cube and put it into the bowl"] * 3, 320)
    names = tuple(f"picture{number}" for number in range(pictures))
    made = {}
    for kind, tokens in KINDS.items():
        torch.manual_seed(0)
        config = InterpreterConfig(cameras=names, context_tokens=tokens)
        made[kind] = Interpreter(nano_vlm(tokenizer), tokenizer, config).eval()
    return made


@torch.no_grad()
def measure(pictures: int, repeats: int) -> dict[str, dict[str, float]]:
    """{kind: {"ms": of a plan, "mflop": of it, "language_mflop": without the pictures' own encoding}}."""
    made, pixels = interpreters(pictures), torch.rand(1, pictures, 3, 96, 96) * 2 - 1
    took: dict[str, list[float]] = {kind: [] for kind in made}
    counted: dict[str, dict[str, float]] = {}
    for kind, one in made.items():
        prompts = one.prompts(["reach the red cube"], [[True] * pictures])
        with FlopCounterMode(display=False) as whole:
            encoded = one.encode_images(pixels)
            with FlopCounterMode(display=False) as read:
                one.read(encoded, prompts)
        counted[kind] = {
            "mflop": whole.get_total_flops() / 1e6,
            "language_mflop": read.get_total_flops() / 1e6,
        }
    for _ in range(repeats):
        for kind, one in made.items():
            prompts = one.prompts(["reach the red cube"], [[True] * pictures])
            begun = time.perf_counter()
            one(pixels, prompts)
            took[kind].append(1000 * (time.perf_counter() - begun))
    return {kind: {"ms": statistics.median(took[kind]), **counted[kind]} for kind in made}


def page(rows: dict[int, dict[str, dict[str, float]]]) -> str:
    """Charts over the number of pictures, as HTML."""

    def lines(figure: str) -> list[Line]:
        return [Line(kind, [(float(n), rows[n][kind][figure]) for n in sorted(rows)]) for kind in KINDS]

    charts = [
        chart("Operations of the language model and what it reads", "million", lines("language_mflop")),
        chart("Operations of a plan", "million", lines("mflop")),
        chart("Time of a plan", "ms, one core", lines("ms")),
    ]
    title = "Cost of a plan over the number of pictures"
    note = '<p class="note">Pictures are cameras times moments.</p>'
    return filled_page(title, f'<h1>{title}</h1>{note}<div class="charts">{"".join(charts)}</div>')


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=None, metavar="FILE.html", help="write charts")
    parser.add_argument("--repeats", type=int, default=7, metavar="N")
    parser.add_argument("--short", action="store_true", help="few sizes, one plan of each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cameras, moments = ((1, 4), (1, 4)) if options.short else ((1, 2, 3, 4, 6, 8), (1, 2, 4, 8, 16))
    counts = {c: [c, 1] for c in cameras} | {m: [1, m] for m in moments} | {8 * m: [8, m] for m in moments}
    if options.short:
        counts = {1: [1, 1], 4: [4, 1], 16: [4, 4]}
    rows = {}
    for pictures in sorted(counts):
        rows[pictures] = measure(pictures, 1 if options.short else options.repeats)
        found = ", ".join(
            f"{kind}: {one['ms']:.1f} ms, {one['language_mflop']:.0f} M"
            for kind, one in rows[pictures].items()
        )
        print(f"{pictures:4d} pictures ({counts[pictures][0]} x {counts[pictures][1]}): {found}", flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(page(rows), encoding="utf-8")
    print(json.dumps({str(pictures): row for pictures, row in rows.items()}))


if __name__ == "__main__":
    main()
