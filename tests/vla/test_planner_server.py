"""`--planner openai:… --base-url` against a real server of others: transformers' own (`transformers serve`).

It runs in an environment of its own, which `make test` and `make interop` make; IDEOMOTOR_SERVER_PYTHON names
the Python of that environment. Its models are made here: one that writes a plan, and one that writes noise.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from ideomotor.vla.planner.plan import Call, Steps
from ideomotor.vla.planner.proposing.hosted import HostedPlanner, Limits
from ideomotor.vla.planner.proposing.interface import PlannerFailed, PlanRequest
from tests.interop.peers import python_of, why_not

PYTHON = python_of("SERVER")
WHY_NOT = why_not("SERVER", "transformers' server")
GIVE_UP_S = 180.0
# What the model writes, token by token: each leads to the next.
PIECES = ('{"plans":', ' [{"sequence":', ' [{"skill":', ' "place",', ' "arguments":', ' ["red cube",',
          ' "blue bowl"]}', "]}]}")  # fmt: skip
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}<answer>"
THINGS = ("red cube", "blue bowl")
LIMITS = Limits(timeout_s=GIVE_UP_S, total_s=GIVE_UP_S, max_tokens=64)

pytestmark = [pytest.mark.interop, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


def make_model(folder: Path, writes_plans: bool) -> None:
    """A model of one layer: random, or a chain in which each piece of a plan leads to the next one."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1, **{symbol: i + 2 for i, symbol in enumerate(symbols)}}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_tokens([AddedToken(one, normalized=False) for one in ("<answer>", *PIECES)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    size = 512
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size, hidden_size=size, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=8192, bos_token_id=0, eos_token_id=1,
            tie_word_embeddings=False,
        )
    )  # fmt: skip
    if writes_plans:
        chain = [tokenizer.convert_tokens_to_ids(one) for one in ("<answer>", *PIECES, "</s>")]
        with torch.no_grad():
            for parameter in model.model.layers.parameters():
                parameter.zero_()
            model.model.embed_tokens.weight.copy_(torch.eye(size))
            model.lm_head.weight.zero_()
            for before, after in zip(chain, chain[1:], strict=False):
                model.lm_head.weight[after, before] = 1.0
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(its base URL, the folders of both models)."""
    folder = tmp_path_factory.mktemp("served")
    for name, writes_plans in (("planner", True), ("noise", False)):
        make_model(folder / name, writes_plans)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        PYTHON,
        "-m",
        "transformers.cli.transformers",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [*command, "--device", "cpu"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            while True:
                assert running.poll() is None, (folder / "log").read_text()
                try:
                    if httpx.get(f"{url}/health").status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.1)
            yield f"{url}/v1", folder / "planner", folder / "noise"
        finally:
            running.kill()
            running.wait()


def request(**more) -> PlanRequest:
    empty = frozenset({("hand_empty",)})
    return PlanRequest("put the red cube into the bowl", None, THINGS, empty, (), (), 1, {}, **more)


def test_a_plan_comes_back_and_what_it_took_is_counted(server) -> None:
    url, model, _ = server
    planner = HostedPlanner("openai", str(model), url, LIMITS)
    plans = planner.propose(request())
    assert plans == [Steps((Call("place", ("red cube", "blue bowl")),))]
    assert planner.used.requests == 1 and planner.used.tokens > len(PIECES)
    assert planner.propose(request()) == plans and planner.used.requests == 1  # from memory


def test_what_a_server_says_otherwise_is_a_named_outcome(server) -> None:
    url, model, noise = server
    outcomes = {}
    for name, asked, images in (
        ("noise", noise, {}),
        ("nowhere", model.parent / "nowhere", {}),
        ("pictures", model, {"front": np.zeros((8, 8, 3), np.uint8)}),
    ):
        limits = Limits(timeout_s=GIVE_UP_S, total_s=GIVE_UP_S, retries=0, max_tokens=16)
        planner = HostedPlanner("openai", str(asked), url, limits, share_images=bool(images))
        try:
            planner.propose(request(images=images))
            outcomes[name] = "plans"
        except PlannerFailed as failed:
            outcomes[name] = failed.outcome
            assert "\n" not in str(failed)
    assert outcomes["noise"] == "malformed" and outcomes["nowhere"] == "unreachable"
    assert outcomes["pictures"] in ("plans", "malformed", "unreachable")  # a model that reads text alone
