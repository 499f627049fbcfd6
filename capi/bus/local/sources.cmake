set(bus/local_sources answer.c files.c folder.c frames.c link.c local.c names.c node.c registry.c send.c status.c sweep.c tick.c)
