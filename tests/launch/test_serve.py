"""`ideomotor serve`: what it refuses before anything listens."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], ("token-file: missing", "--host 127.0.0.1")),
        (["--port", "70000"], ("port: got 70000",)),
        (["--max-batch", "0"], ("max-batch",)),
        (["--device", "tpu"], ("device: got 'tpu'", "cpu or cuda")),
        (["--cert", "cert.pem"], ("key: missing",)),
        (["--token-file", "nowhere"], ("token-file", "nowhere")),
        (["--policy", "nowhere"], ("policy", "nowhere")),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(in_process, arguments, words) -> None:
    in_process("serve", "--port", "0", *arguments).assert_refused(*words)


def test_a_map_names_what_the_policy_has(in_process) -> None:
    in_process("serve", "--port", "0", "--map", "top=above").assert_refused("map", "'top=above'", "front")
