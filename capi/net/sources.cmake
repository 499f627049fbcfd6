set(net_sources conn.c deferred.c dial.c fd_watch.c listener.c loop.c name.c resolve.c tcp.c timer.c waker.c fs_watch.c)
