set(transport_sources mailbox.c own/transport.c pubsub/channels.c link/link.c link/receive.c link/send.c link/large.c link/report.c link/keepalive.c link/endpoint.c link/endpoint_unix.c link/endpoint_tcp.c link/ways.c
    link/transport.c pubsub/transport.c pubsub/subscriptions.c pubsub/publish.c pubsub/batch.c pubsub/backlog.c)
