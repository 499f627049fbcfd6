set(net_sources alarm.c bell.c conn.c dial.c listener.c loop.c resolve.c watch.c)
