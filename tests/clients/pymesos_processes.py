#!/usr/bin/env python3
"""pymesos_processes.py MASTER: runs processes on a cluster by the scheduler and the executor that pymesos brings along (`pymesos.subprocess`).
Prints for each what it wrote, its status, and what the executor said of it."""

import json
import os
import signal
import socket
import sys
import threading

# Where the package's scheduler looks for it.
os.environ["MESOS_MASTER"] = sys.argv[1]

from pymesos.subprocess.scheduler import _TYPE_SIGNAL, ProcScheduler


class Process:
    """What the package's `Popen` is to its scheduler; that one's pipes are written for Python 2."""

    cpus, mem, gpus = 0.1, 32.0, 0

    def __init__(self, id, command):
        self.id = id
        self.command = command
        self.listeners = []
        for _ in ("stdin", "stdout", "stderr"):
            listener = socket.create_server(("127.0.0.1", 0))
            self.listeners.append(listener)
        self.started = threading.Event()
        self.ended = threading.Event()

    def __repr__(self):
        return f"Process {self.command}"

    @property
    def params(self):
        return {
            "a": (self.command,),
            "kw": {"shell": True},
            "handlers": [listener.getsockname()[1] for listener in self.listeners],
            "hostname": "127.0.0.1",
        }

    def _started(self):
        self.started.set()

    def _finished(self, success, message, data):
        self.success, self.message, self.data = success, message, data
        self.started.set()
        self.ended.set()

    def output(self):
        """All that it writes to its standard output."""
        connection, _ = self.listeners[1].accept()
        with connection:
            return b"".join(iter(lambda: connection.recv(4096), b"")).decode()

    def report(self):
        written = self.output()
        self.ended.wait()
        status = self.data[0] if self.data else None
        print(json.dumps({"output": written, "success": self.success, "status": status, "message": self.message}), flush=True)


scheduler = ProcScheduler()
scheduler.start()
print("started", flush=True)


def run(process):
    scheduler.submit(process)
    return process


run(Process(1, "echo hello; exit 3")).report()
lasting = run(Process(2, "trap 'echo caught; exit 0' TERM; echo ready; while :; do sleep 0.05; done"))
connection, _ = lasting.listeners[1].accept()
said = connection.recv(100)
lasting.started.wait()
# By a message to the executor.
scheduler.send_data(lasting.id, _TYPE_SIGNAL, signal.SIGTERM)
said += b"".join(iter(lambda: connection.recv(4096), b""))
lasting.ended.wait()
print(json.dumps({"output": said.decode(), "success": lasting.success, "status": lasting.data[0]}), flush=True)
scheduler.stop()
print("stopped", flush=True)
