#!/usr/bin/env python3
"""A custom executor on the v1 executor API, in JSON, written from docs/executor-http-api.md with nothing but the standard library."""
import base64
import http.client
import json
import os
import queue
import random
import re
import socket
import sys
import threading
import time
import uuid

from behaviour import Behaviour

ENDPOINT = os.environ["MESOS_AGENT_ENDPOINT"]
SOCKET = os.environ.get("MESOS_DOMAIN_SOCKET")
TOKEN = os.environ.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
PATH = "/" + os.environ["MESOS_SLAVE_PID"].partition("@")[0] + "/api/v1/executor"
IDS = {
    "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
    "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
}
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "secs": 1, "mins": 60, "hrs": 3600}


def seconds(variable, default):
    match = re.fullmatch(r"([0-9.]+)([a-z]+)", os.environ.get(variable, ""))
    return float(match[1]) * UNITS[match[2]] if match else default


class Connection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__(ENDPOINT)

    def connect(self):
        if SOCKET:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(SOCKET)
        else:
            super().connect()

    def call(self, message):
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if TOKEN:
            headers["Authorization"] = "Bearer " + TOKEN
        self.request("POST", PATH, json.dumps(message | IDS), headers)
        answer = self.getresponse()
        if answer.status >= 400:
            challenge = answer.getheader("WWW-Authenticate", "")
            print(message["type"], answer.status, challenge, answer.read().decode(), flush=True)
        return answer


class Executor:
    def __init__(self):
        self.behaviour = Behaviour(self.update, self.message)
        # Not yet acknowledged, by task and by uuid.
        self.tasks = {}
        self.updates = {}
        # The updates that the latest subscription has told of.
        self.told = set()
        self.lock = threading.Lock()
        self.outbox = queue.SimpleQueue()
        threading.Thread(target=self.send, daemon=True).start()

    def send(self):
        """Sends calls in their order. What is lost on the way is told with the next subscription."""
        connection = Connection()
        while True:
            call, sent = self.outbox.get()
            # A connection may be one to an agent that is no more: then a new one is tried.
            for _ in range(2):
                try:
                    connection.call(call).read()
                    break
                except (OSError, http.client.HTTPException):
                    connection.close()
            if sent:
                sent.set()

    def update(self, task, state, message):
        status = {
            "task_id": {"value": task},
            "executor_id": IDS["executor_id"],
            "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
            "source": "SOURCE_EXECUTOR",
            "state": state,
            "message": message,
            "timestamp": time.time(),
        }
        with self.lock:
            self.updates[status["uuid"]] = {"status": status}
        self.outbox.put(({"type": "UPDATE", "update": {"status": status}}, None))

    def message(self, data):
        data = base64.b64encode(data.encode()).decode()
        self.outbox.put(({"type": "MESSAGE", "message": {"data": data}}, None))

    def flush(self):
        """Waits until what was to be sent is sent, or lost."""
        sent = threading.Event()
        self.outbox.put(({"type": "HEARTBEAT"}, sent))
        sent.wait()

    def events(self):
        with self.lock:
            self.told = set(self.updates)
            subscribe = {
                "unacknowledged_tasks": list(self.tasks.values()),
                "unacknowledged_updates": list(self.updates.values()),
            }
        answer = Connection().call({"type": "SUBSCRIBE", "subscribe": subscribe})
        if answer.status == 503:
            return
        if answer.status != 200:
            sys.exit(f"SUBSCRIBE: {answer.status}")
        while line := answer.readline():
            yield json.loads(answer.read(int(line)))

    def run(self):
        patience = seconds("MESOS_RECOVERY_TIMEOUT", 0)
        backoff = seconds("MESOS_SUBSCRIPTION_BACKOFF_MAX", 0)
        gone = None
        while gone is None or time.monotonic() - gone <= patience:
            try:
                for event in self.events():
                    gone = None
                    if self.take(event):
                        return
            except (OSError, http.client.HTTPException):
                pass
            gone = gone or time.monotonic()
            time.sleep(random.uniform(0, min(backoff, 0.2)))
        sys.exit("the agent is gone")

    def take(self, event):
        kind = event["type"]
        if kind == "SUBSCRIBED":
            with self.lock:
                late = [update for key, update in self.updates.items() if key not in self.told]
            for update in late:
                self.outbox.put(({"type": "UPDATE", "update": update}, None))
            self.outbox.put(({"type": "HEARTBEAT"}, None))
        elif kind == "LAUNCH":
            task = event["launch"]["task"]
            with self.lock:
                self.tasks[task["task_id"]["value"]] = task
            data = base64.b64decode(task.get("data", "")).decode()
            self.behaviour.launch(task["task_id"]["value"], data)
        elif kind == "KILL":
            self.behaviour.kill(event["kill"]["task_id"]["value"])
        elif kind == "ACKNOWLEDGED":
            with self.lock:
                self.updates.pop(event["acknowledged"]["uuid"], None)
                self.tasks.pop(event["acknowledged"]["task_id"]["value"], None)
        elif kind == "MESSAGE":
            self.behaviour.framework_message(base64.b64decode(event["message"]["data"]).decode())
        elif kind == "ERROR":
            sys.exit(event["error"]["message"])
        elif kind == "SHUTDOWN" and self.behaviour.shutdown():
            self.flush()
            return True
        return False


Executor().run()
