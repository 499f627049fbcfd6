set(http_sources client.c curl.c request.c)
