set(net_sources clock.c conn.c plugin.c deferred.c dial.c fd_watch.c listener.c loop.c name.c resolve.c tcp.c openssl.c keys.c tls.c tls_keys.c tls_trust.c timer.c waker.c fs_watch.c)
