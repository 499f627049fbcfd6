set(base_sources buf.c error.c heap.c log.c map.c mem.c rand.c str.c)
