set(bus_sources bus.c compose.c own.c channels.c held.c held_publishes.c node.c route.c)
