set(api_sources answer.c call.c check.c command.c config.c context.c context_counts.c counters.c engine.c extend.c event_fd.c event_name.c events.c execute.c guard.c handle.c
    wait_slots.c hooks.c key.c last_error.c leader.c machine.c log_events.c node.c node_free.c node_id.c offer.c open.c operation.c options.c poll.c deliver.c record.c runtime_folder.c thread.c version.c wait.c)
list(APPEND api_sources channel.c payload.c span.c subscriptions.c worker.c)
