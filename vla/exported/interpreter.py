"""An exported interpreter: from pictures and words to a plan and its text, in numpy around its graphs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ideomotor.control.errors import UserError
from ideomotor.control.types import LatentPlan, Observation
from ideomotor.vla.exported.format import (
    HEADS,
    LANGUAGE,
    PROPRIO,
    TOKENIZER,
    VISION,
    WORDS,
    ExportedConfig,
)
from ideomotor.vla.exported.pixels import pixels_of
from ideomotor.vla.exported.runtimes import Graph, open_graph
from ideomotor.vla.exported.tokenizer import BytePairTokenizer, load_tokenizer
from ideomotor.vla.interpreter.vocabulary import (
    END_TOKEN,
    IMAGE_TOKEN,
    MAX_TEXT,
    MAX_WORDS,
    NO_IMAGE_TOKEN,
    NO_INSTRUCTION_TOKEN,
    PLAN_TOKENS,
    plain,
)
from ideomotor.vla.requests import PlanDraft

UNSEEN = np.float32(-1e9)  # score of what attention must not see
ROOM = 64  # tokens that the cache grows by


@dataclass(frozen=True, eq=False)
class ExportedInterpreter:
    """Graphs and tables of an interpreter."""

    config: ExportedConfig
    graphs: dict[str, Graph]
    tokenizer: BytePairTokenizer
    table: np.ndarray  # (vocabulary, d) float32, the words' embeddings

    def plan(self, observation: Observation, blind: bool, stateless: bool) -> PlanDraft:
        """What to do.

        Args:
            observation: admitted.
            blind: as if no picture were there.
            stateless: as if the joint state were unknown.
        """
        shape = self.config.interpreter
        there = [not blind and name in observation.images for name in shape.cameras]
        there = [t and name in self.config.cameras for t, name in zip(there, shape.cameras, strict=True)]
        ids, images, search = self._prompt(observation, there)
        embeddings = self.table[ids]
        embeddings[np.array(ids) == self._id(IMAGE_TOKEN)] = images
        if shape.proprio and not stateless:
            state = np.asarray(observation.state, np.float32)[None]
            if np.isfinite(state).all():
                embeddings[-len(PLAN_TOKENS) :] += self.graphs[PROPRIO]({"state": state})[0]
        hidden, last, kept = self._read(embeddings)
        first = np.array([[float(there[0])]], np.float32)
        given = {
            "hidden": hidden[:, -len(PLAN_TOKENS) :],
            "map": search,
            "has_first": first,
            "spelled": self._spelled,
        }
        tokens, points, presence, words, progress = self.graphs[HEADS](given)
        found = zip(shape.names, points[0].clip(0, 1).tolist(), presence[0].tolist(), strict=True)
        plan = LatentPlan(
            tokens=tokens[0],
            observed_at=observation.time,
            keypoints={name: (shape.cameras[0], u, v) for name, (u, v), share in found if share > 0.5},
            progress=float(progress[0]),
        )

        def write() -> str:
            return self._write(last, kept) if last is not None and kept is not None else ""

        return PlanDraft(plan, frozenset(np.flatnonzero(words[0] > 0).tolist()), write)

    def _prompt(
        self, observation: Observation, there: list[bool]
    ) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Token ids; embeddings of the image tokens that are there (T, d); the map to search for points."""
        shape, seen = self.config.interpreter, self.config.seen_by_interpreter
        each = shape.image_tokens // len(shape.cameras)
        images = np.zeros((0, self.table.shape[1]), np.float32)
        search = np.zeros((1, (shape.image_size // 4) ** 2, self._map_width), np.float32)
        if any(there):
            pixels = pixels_of(
                observation, seen, shape.image_size, dict(zip(shape.cameras, there, strict=True))
            )
            tokens, *found = self.graphs[VISION]({"pixels": pixels})
            shown = np.repeat([there[shape.cameras.index(name)] for name in seen], each)
            images, search = tokens[0][shown], found[0] if shape.cameras[0] in seen else search
        words = self.tokenizer.encode(plain(observation.instruction))[:MAX_WORDS]
        ids = [self._id(IMAGE_TOKEN if t else NO_IMAGE_TOKEN) for t in there for _ in range(each)]
        ids += words or [self._id(NO_INSTRUCTION_TOKEN)]
        return ids + [self._id(token) for token in PLAN_TOKENS], images, search

    def _read(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """The prompt (L, d): what the plan is made of (1, L, d); the last hidden states, keys and values."""
        shape, length = self.config.interpreter, len(embeddings)
        cos, sin = self._positions(0, length)
        given = {
            "embeddings": embeddings[None],
            "cos": cos,
            "sin": sin,
            "bias": np.triu(np.full((length, length), UNSEEN), 1),
        }
        if not self.config.text:
            return self.graphs[LANGUAGE](given)[0], None, None
        given["past"] = np.zeros((shape.layers, 2, shape.heads, 0, shape.head), np.float32)
        plan, last, kept = self.graphs[LANGUAGE](given)
        return plan, last, kept

    def _write(self, last: np.ndarray, kept: np.ndarray) -> str:
        """The readable plan, greedily, a token a call."""
        shape, at = self.config.interpreter, kept.shape[3]
        hidden, written, end = last[0, -1], list[int](), self._id(END_TOKEN)
        past = np.zeros((shape.layers, 2, shape.heads, 0, shape.head), np.float32)
        while len(written) < MAX_TEXT:
            word = int((self.table @ hidden).argmax())
            if word == end:
                break
            written.append(word)
            if at >= past.shape[3]:
                past = _grown(past, kept, -(-(at + 1) // ROOM) * ROOM)
            cos, sin = self._positions(at, 1)
            bias = np.where(np.arange(past.shape[3] + 1) < at, np.float32(0), UNSEEN)[None]
            bias[0, -1] = 0.0  # itself
            given = {
                "embeddings": self.table[None, [word]],
                "cos": cos,
                "sin": sin,
                "bias": bias,
                "past": past,
            }
            _, last, own = self.graphs[LANGUAGE](given)
            past[:, :, :, at] = own[:, :, :, 0]
            hidden, at = last[0, -1], at + 1
            kept = past
        return self.tokenizer.decode(written).strip()

    def _positions(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(count, head) float32 cosines and sines of rotary positions."""
        cos, sin = self._rotary
        return cos[first : first + count], sin[first : first + count]

    @cached_property
    def _spelled(self) -> np.ndarray:
        """(vocabulary, d): the words' embeddings at unit length."""
        return self.table / np.linalg.norm(self.table, axis=1, keepdims=True).clip(1e-12)

    @cached_property
    def _rotary(self) -> tuple[np.ndarray, np.ndarray]:
        shape = self.config.interpreter
        most = shape.image_tokens + MAX_WORDS + len(PLAN_TOKENS) + MAX_TEXT
        return rotary(most, shape.head, shape.theta)

    @property
    def _map_width(self) -> int:
        return 2 * self.config.interpreter.map_width

    def _id(self, token: str) -> int:
        return self.tokenizer.id_of(token)


def load_interpreter(folder: Path, config: ExportedConfig, threads: int = 1) -> ExportedInterpreter:
    """Opens the interpreter's graphs. UserError naming the file that is missing or damaged."""
    names = [name for name in (VISION, LANGUAGE, HEADS, PROPRIO) if name in config.graphs]
    graphs = {name: open_graph(config.graph(folder, name), config.runtime, threads) for name in names}
    return ExportedInterpreter(config, graphs, load_tokenizer(folder / TOKENIZER), load_table(folder / WORDS))


def load_table(path: Path) -> np.ndarray:
    """(vocabulary, d) float32 embeddings, of float32 or of int8 with a scale a row."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            table = stored["table"].astype(np.float32)
            return table * stored["scale"][:, None] if "scale" in stored else table
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a table of embeddings: {error}") from None


def rotary(count: int, head: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """(count, head) cosines and sines of RoPE (arXiv 2104.09864, section 3.4.2), halves of a head alike."""
    rates = 1.0 / theta ** (np.arange(0, head, 2, dtype=np.float32) / head)
    angles = np.arange(count, dtype=np.float32)[:, None] * rates[None, :]
    both = np.concatenate([angles, angles], axis=1)
    return np.cos(both).astype(np.float32), np.sin(both).astype(np.float32)


def _grown(past: np.ndarray, kept: np.ndarray, room: int) -> np.ndarray:
    """A cache with room for so many tokens, that holds what is kept."""
    larger = np.zeros((*past.shape[:3], room, past.shape[4]), np.float32)
    larger[:, :, :, : kept.shape[3]] = kept
    return larger
