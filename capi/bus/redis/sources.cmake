set(bus/redis_sources publish.c backlog.c batch.c commands.c subscriber.c nodes.c claim.c registry.c announcements.c lookup.c
    scan.c status.c redis_bus.c)
