"""int8 weights and activations of an exported policy: static, calibrated on recorded windows.

Weights of matrix products and convolutions get a scale for each output channel, activations one for each
tensor, from what it is on the windows (Jacob et al. 2018, arXiv 1712.05877; Krishnamoorthi 2018,
arXiv 1806.08342). Products of two activations (attention), norms and softmax stay in float32. Graphs keep the
QDQ form, which onnxruntime and OpenVINO both turn into integer kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.datasets.loading.loader import WindowLoader
from ideomotor.train.quantized_graph import quantize_graph
from ideomotor.vla.exported.format import CONTEXT, HEADS, LANGUAGE, STEP, VISION, WORDS, ExportedConfig
from ideomotor.vla.exported.interpreter import load_table
from ideomotor.vla.exported.networks import ExportedNetworks
from ideomotor.vla.exported.runtimes import Graph
from ideomotor.vla.requests import ChunkRequest

QUANTIZED = (VISION, LANGUAGE, HEADS, CONTEXT, STEP)  # graphs
KEPT_FEEDS = 160  # of one graph that calibration looks at
TEXT_EVERY = 4  # windows: the readable plan is written for some of them, so that its tokens are seen too


Feeds = dict[str, list[dict[str, np.ndarray]]]  # {graph: what it was given}


@dataclass(frozen=True)
class Moment:
    """A recorded window as a running policy meets it."""

    planned: Observation  # what the plan is made from
    now: Observation
    committed_prefix: np.ndarray  # (d, A)
    past_commands: np.ndarray  # (P, A)
    row: int  # of the window's first frame, through all datasets
    subtask: str  # empty where nobody knows


def moments(loader: WindowLoader, count: int) -> Iterator[Moment]:
    """Windows of a dataset, in the loader's order."""
    taken = 0
    for batch in loader:
        for row in range(min(len(batch), count - taken)):
            words, seen = batch.instruction[row], (batch.at_plan, batch.now)
            planned, now = (
                Observation(
                    time=0.0,
                    tick=0,
                    images={name: pictures[row] for name, pictures in part.images.items()},
                    state=part.state[row],
                    instruction=words,
                )
                for part in seen
            )
            length = int(batch.prefix_length[row])
            yield Moment(
                planned,
                now,
                batch.actions[row, :length],
                batch.past_commands[row].astype(float),
                int(batch.now.index[row]),
                batch.subtask[row],
            )
        taken += len(batch)
        if taken >= count:
            return


def answer(networks: Any, moment: Moment, seed: int, text: bool = False) -> tuple[LatentPlan, np.ndarray]:
    """The plan and the chunk (H, A) [rad or m] of a moment, with noise that follows from the seed."""
    processor = networks.processor
    (draft,) = networks.plans([moment.planned], frozenset(networks.sampling.without))
    plan = replace(draft.plan, text=draft.write() if text else "")
    origin = processor.origin_of(np.asarray(moment.now.state, float), moment.past_commands)
    request = ChunkRequest(
        observation=moment.now,
        plan=plan,
        committed_prefix=moment.committed_prefix,
        past_commands=moment.past_commands,
        known=True,
        origin=origin,
        noise=networks.noise(1, networks.generator(seed)),
    )
    (chunk,) = networks.chunks([request], frozenset(networks.sampling.without))
    return plan, chunk.actions


def record_feeds(networks: ExportedNetworks, given: Iterable[Moment]) -> Feeds:
    """What each graph is given while a policy answers these moments; of many calls some, evenly."""
    interpreter, decoder = networks.interpreter, networks.decoder
    assert interpreter is not None and decoder is not None
    feeds: Feeds = {name: [] for name in QUANTIZED}
    listened = {
        name: _listening(graph, feeds[name]) for name, graph in interpreter.graphs.items() if name in feeds
    }
    listening = replace(
        networks,
        interpreter=replace(interpreter, graphs=interpreter.graphs | listened),
        decoder=replace(
            decoder,
            context=_listening(decoder.context, feeds[CONTEXT]),
            step=_listening(decoder.step, feeds[STEP]),
        ),
    )
    for index, moment in enumerate(given):
        answer(listening, moment, index, text=networks.config.text and index % TEXT_EVERY == 0)
    kept = {}
    for name, every in feeds.items():
        chosen = np.linspace(0, len(every) - 1, min(len(every), KEPT_FEEDS)).astype(int)
        kept[name] = [every[index] for index in chosen]
    return kept


def quantize(
    folder: Path, config: ExportedConfig, feeds: Feeds, out: Path, keep: Sequence[str] = ()
) -> ExportedConfig:
    """Turns the graphs of a float32 policy into int8 ones.

    Args:
        folder: of the float32 policy, exported for onnx.
        config: of that policy.
        feeds: of `record_feeds`.
        out: folder that the graphs and the table of words are written into, over those that it has.
        keep: graphs that stay in float32, or GRAPH:PART for nodes of one whose name has PART.

    Returns:
        the config that goes with them.

    Raises:
        UserError: `keep` names no graph.
    """
    for each in keep:
        if each.partition(":")[0] not in config.graphs:
            raise UserError(
                f"keep: got {each!r}, expected a graph ({', '.join(config.graphs)}) or GRAPH:PART"
            )
    for name in config.graphs:
        if name in QUANTIZED and name not in keep:
            parts = [each.partition(":")[2] for each in keep if each.startswith(f"{name}:")]
            quantize_graph(config.graph(folder, name), feeds[name], out / f"{name}.onnx", parts)
    table = load_table(folder / WORDS)
    scale = np.abs(table).max(1).clip(1e-8) / 127
    rounded = np.rint(table / scale[:, None]).astype(np.int8)
    np.savez(out / WORDS, table=rounded, scale=scale.astype(np.float32))
    return replace(config, precision="int8")


def action_errors(reference: Any, other: Any, given: Iterable[Moment]) -> dict[str, float]:
    """How far another policy's answers are from a reference's at the same moments, with the same noise.

    Returns:
        of the commands that are not committed, over joints and ticks: root mean square [rad or m], 99 %
        quantile and largest of a chunk's; the same of the reference's between two noises, as a measure; of
        plan tokens, root mean square relative to the tokens' own.
    """
    apart, noise, tokens, sizes = [], [], [], []
    for index, moment in enumerate(given):
        plan, chunk = answer(reference, moment, index)
        _, another = answer(reference, moment, index + 10_000)
        other_plan, other_chunk = answer(other, moment, index)
        free = slice(len(moment.committed_prefix), None)
        apart.append(_rms(other_chunk[free] - chunk[free]))
        noise.append(_rms(another[free] - chunk[free]))
        tokens.append(_rms(other_plan.tokens - plan.tokens))
        sizes.append(_rms(plan.tokens))
    return {
        "chunk_rms": _rms(np.array(apart)),
        "chunk_p99": float(np.quantile(apart, 0.99)),
        "chunk_max": float(np.max(apart)),
        "noise_rms": _rms(np.array(noise)),
        "plan_relative": _rms(np.array(tokens)) / _rms(np.array(sizes)),
    }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _listening(graph: Graph, listening: list[dict[str, np.ndarray]]) -> Graph:
    def run(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        listening.append({name: np.array(value) for name, value in given.items()})
        return graph(given)

    return run
