"""Standard input for asyncio."""
import asyncio
import sys
from typing import AsyncIterator

LONGEST = 1 << 24


async def lines() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader(LONGEST)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while True:
        line = await reader.readline()
        if not line:
            return
        yield line
