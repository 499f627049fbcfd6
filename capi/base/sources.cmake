set(base_sources buf.c error.c heap.c log.c map.c md5.c mem.c rand.c str.c)
