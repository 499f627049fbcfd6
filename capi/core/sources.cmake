set(core_sources along.c answer.c arguments.c attempt.c blocked.c timeout.c remote_error.c attempt_id.c balance.c turns.c breaker.c bucket.c budget.c call.c cancel.c choose.c core.c delivery.c directory.c hedge.c message.c node.c offer.c once.c pause.c reply.c
    operation.c peer.c serve.c sink.c status.c timers.c error_text.c)
list(APPEND core_sources channel.c publish.c)
list(APPEND core_sources explain.c)
list(APPEND core_sources state.c stats.c)
list(APPEND core_sources peer_events.c)
list(APPEND core_sources adaptive.c)
list(APPEND core_sources throttle.c)
list(APPEND core_sources ask.c question.c)
