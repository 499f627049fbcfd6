"""A thousand calls at a time, with asyncio."""
import asyncio
import sys

import clouds


async def main():
    async with clouds.aio.Client(*sys.argv[1:], timeout=20) as c:
        answers = await asyncio.gather(*(c.call("test.hello", "Glen", i) for i in range(1000)))
    print(len(answers), "answers, the last:", answers[-1])


asyncio.run(main())
