set(bus/local_sources files.c folder.c frames.c link.c local.c node.c registry.c send.c task.c tick.c)
