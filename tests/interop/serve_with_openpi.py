"""A server as openpi's is, with the msgpack of openpi's own client: its words and order, and a small policy.

    python serve_with_openpi.py

Prints the port. It sends metadata first, then an answer to each observation; what goes wrong is told as the
traceback, in text, and closes the connection with code 1011. The policy turns the first joint by a degree
with each action, and closes the gripper.
"""

import traceback

import numpy as np
from openpi_client import msgpack_numpy  # pyright: ignore[reportMissingImports]
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.server import serve


def infer(observation: dict) -> dict:
    image = observation["observation/image"]
    assert image.shape == (224, 224, 3) and image.dtype == np.uint8 and observation["prompt"]
    state = np.asarray(observation["observation/state"], np.float32)  # degrees, and a share
    actions = np.repeat(state[None], 10, axis=0)
    actions[:, 0] += np.arange(10)
    actions[:, -1] = 0.0
    return {"actions": actions, "server_timing": {"infer_ms": 0.1}, "policy_timing": {"infer_ms": 0.1}}


def connected(socket) -> None:
    packer = msgpack_numpy.Packer()
    socket.send(packer.pack({"reset_pose": [0.0, 1.0]}))
    try:
        while True:
            try:
                socket.send(packer.pack(infer(msgpack_numpy.unpackb(socket.recv()))))
            except ConnectionClosed:
                return
            except Exception:
                socket.send(traceback.format_exc())
                socket.close(CloseCode.INTERNAL_ERROR, "internal server error")
                return
    except ConnectionClosed:
        return


def main() -> None:
    with serve(connected, "127.0.0.1", 0, compression=None, max_size=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
