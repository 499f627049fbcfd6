set(bus_sources bus.c node.c route.c)
