set(net_sources conn.c deferred.c dial.c listener.c loop.c resolve.c tcp.c timer.c waker.c fs_watch.c)
