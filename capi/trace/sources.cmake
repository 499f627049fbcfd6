set(trace_sources settings.c environment.c exporter.c outlet.c)
