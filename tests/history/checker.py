"""Reads what clients and servers wrote down (see client.c and server.c), and says what contradicts the promises.

A history is a list of calls, each with when it began, its deadline, its completions and its executions. Times are seconds of
CLOCK_MONOTONIC, which all processes of a machine share.
"""
import os

FAILS, NEVER = 97, 499  # as in server.c: numbers that fail, and those that no server answers

OK, APP_ERROR, NOT_DONE, UNKNOWN = range(4)


class Call:
    def __init__(self, number, began, deadline, retries, lag):
        self.number, self.began, self.deadline, self.retries, self.lag = number, began, deadline, retries, lag
        self.completions, self.executions = [], []

    def __str__(self):
        ended = [f"{at - self.began:.3f}: outcome {outcome} {code} answer {answer}"
                 for at, outcome, code, answer, _ in self.completions]
        ran = [f"{at - self.began:.3f} by {pid}" for at, pid in self.executions]
        return (f"call {self.number}, {self.retries} retries, deadline after {self.deadline - self.began:.3f} s; "
                f"completed {ended}; executed {ran}")


class History:
    """All calls of some clients, with what servers did for them."""

    def __init__(self, clients, servers):
        self.calls, self.strays = {}, []
        for path in clients:
            self._read_client(path)
        for path in servers:
            self._read_server(path)

    def _read_client(self, path):
        mine, closed, lag = [], False, None
        with open(path) as log:
            for kind, *words in (line.split() for line in log):
                if kind == "c":
                    call = Call(int(words[0]), float(words[1]), float(words[2]), int(words[3]), 0.0)
                    self.calls[call.number] = call
                    mine.append(call)
                elif kind == "d":
                    call = self.calls.get(int(words[0]))
                    if call is None:
                        self.strays.append(f"a completion of call {words[0]}, which nobody made")
                    else:
                        call.completions.append((float(words[1]), int(words[2]), words[3], int(words[4]), closed))
                elif kind == "z":
                    closed = True
                elif kind == "l":
                    lag = float(words[0])
        if not closed or lag is None:
            self.strays.append(f"{path} has no end: the client did not close")
        for call in mine:
            call.lag = lag or 0.0

    def _read_server(self, path):
        """A server that was killed before it began has written nothing."""
        if not os.path.exists(path):
            return
        with open(path) as log:
            for kind, number, at, pid in (line.split() for line in log):
                call = self.calls.get(int(number))
                if call is None:
                    self.strays.append(f"an execution of call {number}, which nobody made")
                else:
                    call.executions.append((float(at), int(pid)))

    def outcomes(self):
        """How many calls ended how."""
        counts = [0, 0, 0, 0]
        for call in self.calls.values():
            for _, outcome, _, _, _ in call.completions[:1]:
                counts[outcome] += 1
        return dict(zip(("OK", "APP_ERROR", "NOT_DONE", "UNKNOWN"), counts))


def _once(call):
    if len(call.completions) != 1:
        yield f"promise 1: {len(call.completions)} completions"
    elif call.completions[0][4]:
        yield "promise 1: completed after the context was closed"


def _in_time(call, patience):
    at = call.completions[0][0]
    if at > call.deadline + 0.02 + call.lag + patience:
        yield f"promise 2: {at - call.deadline:.3f} s after its deadline"


def _outcome(call):
    _, outcome, _, answer, _ = call.completions[0]
    fails = call.number % FAILS == 0
    if outcome in (OK, APP_ERROR) and not call.executions:
        yield "an answer without an execution"
    if outcome == NOT_DONE and call.executions:
        yield "promise 4: NOT_DONE, but it was executed"
    if outcome == OK and (answer != call.number or fails):
        yield "promise 6: the answer of another call"
    if outcome == APP_ERROR and not fails:
        yield "promise 6: the failure of another call"


def _executions(call, clock, uncertain):
    most = 1 + max(0, call.retries)
    if len(call.executions) > most:
        yield f"promise 4: {len(call.executions)} executions where {most} are allowed"
    for at, pid in call.executions:
        late = at - call.deadline
        if late > clock and not any(begin <= at <= end for begin, end in uncertain):
            yield f"promise 7: {pid} began it {late:.3f} s after its deadline"


def check(history, patience=1.0, clock=1.0, uncertain=(), all_ok=False):
    """What contradicts the promises, as texts. `patience`: seconds that a busy machine may add to a completion; `clock`: seconds
    that the processes' idea of a deadline may differ; `uncertain`: spans of time in which the shared clock had just been moved;
    `all_ok`: healthy servers were there all the time, so every call with retries has to succeed (promise 8)."""
    found = list(history.strays)
    for call in history.calls.values():
        faults = list(_once(call))
        if call.completions:
            faults += [*_in_time(call, patience), *_outcome(call)]
            healthy = call.completions[0][1] in (OK, APP_ERROR) or call.completions[0][2] in ("CLOUDS_CANCELED", "CLOUDS_CLOSED")
            if all_ok and call.retries > 0 and call.number % NEVER and not healthy:
                faults.append("promise 8: failed beside healthy servers")
        faults += _executions(call, clock, uncertain)
        found += [f"{fault}: {call}" for fault in faults]
    return found
