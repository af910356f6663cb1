"""Asks a policy server with openpi's own client, unmodified: what it reads from standard input, line by line.

    python ask_with_openpi.py HOST PORT [API_KEY]

The first line out is the server's metadata. Each line in is a JSON object, `{"observation": {key: value or
{"shape", "data" (hex of uint8)}}}`; the line out is `{"actions": …, "kinds": {key: type}}` or `{"error": …}`.
"""

import json
import sys

import numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy  # pyright: ignore[reportMissingImports]


def main() -> None:
    host, port, *key = sys.argv[1:]
    client = WebsocketClientPolicy(host, int(port), *key)
    print(json.dumps(client.get_server_metadata()), flush=True)
    for line in sys.stdin:
        observation = {name: array(value) for name, value in json.loads(line)["observation"].items()}
        try:
            reply = client.infer(observation)
        except RuntimeError as error:
            said = {"error": str(error)}
        else:
            kinds = {name: type(value).__name__ for name, value in reply.items()}
            said = {"actions": reply["actions"].tolist(), "kinds": kinds}
        print(json.dumps(said), flush=True)


def array(value: object) -> object:
    if isinstance(value, dict):
        return np.frombuffer(bytes.fromhex(value["data"]), np.uint8).reshape(value["shape"])
    return np.array(value, np.float32) if isinstance(value, list) else value


if __name__ == "__main__":
    main()
