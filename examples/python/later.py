"""A service whose answers come from elsewhere: jobs are taken one by one by a thread of its own."""
import queue
import sys
import threading

import clouds

jobs = queue.Queue()
server = clouds.Server(*sys.argv[1:])


@server.register("job")
def job(text):
    jobs.put((clouds.request().detach(), text))


def work():
    while True:
        request, text = jobs.get()
        if request.time_left is None or request.time_left > 0:
            request.reply(text[::-1])


threading.Thread(target=work, daemon=True).start()
server.ready()
print(server.call("job", "desrever"))
server.close()
