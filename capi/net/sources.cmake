set(net_sources alarm.c conn.c dial.c listener.c loop.c watch.c)
