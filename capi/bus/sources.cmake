set(bus_sources bus.c channels.c held.c node.c route.c)
