set(directory_sources memory.c)
