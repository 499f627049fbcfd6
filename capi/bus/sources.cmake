set(bus_sources bus.c node.c channels.c route.c)
