set(bus/local_sources answer.c files.c folder.c frames.c link.c local.c node.c registry.c send.c tick.c)
