set(base_sources base64.c buf.c error.c heap.c library.c log.c map.c mem.c rand.c runtime_folder.c str.c)
