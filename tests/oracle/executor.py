#!/usr/bin/env python3
"""A custom executor on the v1 executor API with nothing but the standard library: each task it is given runs, says its data in its last
message, and finishes."""
import base64
import json
import os
import socket
import uuid

host, _, port = os.environ["MESOS_AGENT_ENDPOINT"].rpartition(":")
IDS = {
    "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
    "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
}


def call(message):
    """Sends one call; gives the connection's reading end, after the answer's head."""
    body = json.dumps(message | IDS).encode()
    connection = socket.create_connection((host, int(port)))
    head = (
        "POST /slave(1)/api/v1/executor HTTP/1.1\r\n"
        f"Host: {host}:{port}\r\n"
        "Content-Type: application/json\r\n"
        "Accept: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    answer = connection.makefile("rb")
    status = answer.readline().split()[1]
    while answer.readline().strip():
        pass
    if status not in (b"200", b"202"):
        raise SystemExit(f"{message['type']}: {status}")
    return answer


def chunks(answer):
    while size := int(answer.readline(), 16):
        yield answer.read(size)
        answer.readline()


def events(answer):
    """RecordIO: a length, a newline, that many bytes."""
    buffer = b""
    for chunk in chunks(answer):
        buffer += chunk
        while b"\n" in buffer:
            length, _, rest = buffer.partition(b"\n")
            if len(rest) < int(length):
                break
            yield json.loads(rest[: int(length)])
            buffer = rest[int(length) :]


def update(task, state, message):
    status = {
        "task_id": task["task_id"],
        "agent_id": task["agent_id"],
        "executor_id": IDS["executor_id"],
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
        "source": "SOURCE_EXECUTOR",
        "state": state,
        "message": message,
    }
    call({"type": "UPDATE", "update": {"status": status}})


for event in events(call({"type": "SUBSCRIBE", "subscribe": {}})):
    if event["type"] == "LAUNCH":
        task = event["launch"]["task"]
        update(task, "TASK_RUNNING", "started")
        update(task, "TASK_FINISHED", base64.b64decode(task["data"]).decode())
    elif event["type"] == "SHUTDOWN":
        break
