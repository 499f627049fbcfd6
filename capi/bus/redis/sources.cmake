set(bus/redis_sources resp.c ring.c words.c greeting.c session.c publish.c backlog.c batch.c commands.c subscriber.c nodes.c claim.c
    registry.c news.c lookup.c scan.c status.c redis_bus.c)
