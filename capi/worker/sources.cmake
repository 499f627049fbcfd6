set(worker_sources connections.c counts.c worker.c)
