set(proto_sources envelope.c frame.c json.c url.c)
