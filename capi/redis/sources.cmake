set(redis_sources client.c sentinel.c session.c handshake.c resp.c pending.c redis_error.c tls.c clear.c)
