set(worker_sources worker.c)
