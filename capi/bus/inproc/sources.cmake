set(bus/inproc_sources inproc.c hall.c)
