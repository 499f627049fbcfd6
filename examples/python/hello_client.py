"""Calls a service. Its address: the first argument, else CLOUDS_URL, else "local:"."""
import sys

import clouds

with clouds.Client(*sys.argv[1:], timeout=2) as c:
    hello = c.bind("test.hello", retry=5)
    print(hello("Glen", "hi"))
