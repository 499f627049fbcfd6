set(bus_sources task.c)
