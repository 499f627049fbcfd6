set(directory_sources memory/memory.c memory/registry.c folder/folder.c folder/names.c folder/files.c folder/entries.c folder/claim.c folder/republish.c
    folder/followed.c folder/schedule.c folder/sweep.c folder/status.c folder/directory.c
    redis/directory.c redis/claim.c redis/registry.c redis/node_record.c redis/subscribers.c redis/announcements.c redis/news.c redis/lookup.c redis/pause.c redis/places.c redis/scan.c redis/status.c
    own/ask.c own/report.c etcd/answers.c etcd/directory.c etcd/doubt.c etcd/lease.c etcd/nodes.c etcd/put.c etcd/questions.c etcd/record.c etcd/session.c
    etcd/subscribers.c etcd/view.c etcd/walk.c etcd/watch.c)
