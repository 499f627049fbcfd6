set(transport_sources mailbox.c)
