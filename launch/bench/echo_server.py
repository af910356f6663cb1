"""A bare websocket server: answers whatever comes with so many bytes. What `bench serve` compares with.

    python -m ideomotor.launch.bench.echo_server BYTES

Prints its port.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any


async def main() -> None:
    from websockets.asyncio.server import serve

    answer = bytes(int(sys.argv[1]))

    async def echo(connection: Any) -> None:
        await connection.send(b"\x80")
        async for _ in connection:
            await connection.send(answer)

    async with serve(echo, "127.0.0.1", 0, compression=None, max_size=None) as server:
        print(f"listening on ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
