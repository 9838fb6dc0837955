"""An executor driver as the old ones are: libprocess messages with protobuf in them, with nothing but the standard library."""
import http.server
import os
import queue
import socket
import threading
import uuid

AGENT, _, ADDRESS = os.environ["MESOS_SLAVE_PID"].partition("@")
STATES = {"TASK_RUNNING": 1, "TASK_FINISHED": 2, "TASK_KILLED": 4}


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    """One field: bytes, text, or a whole number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def identity(number, value):
    return field(number, field(1, value))


def fields(message):
    """The fields of a message, the last of each number."""
    found, at = {}, 0

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = number()
        kind = tag & 7
        if kind == 0:
            found[tag >> 3] = number()
            continue
        length = {1: 8, 5: 4}.get(kind) or number()
        found[tag >> 3] = message[at : at + length]
        at += length
    return found


def named(message, number):
    return fields(fields(message)[number])[1].decode()


FRAMEWORK = os.environ["MESOS_FRAMEWORK_ID"]
EXECUTOR = os.environ["MESOS_EXECUTOR_ID"]
SLAVE = os.environ["MESOS_SLAVE_ID"]


class Driver:
    """Needs an executor with `launch(task, data)`, `kill(task)`, `framework_message(data)`, and `shutdown()`, which says whether to end."""

    def __init__(self):
        # Not yet acknowledged, by task and by uuid.
        self.tasks = {}
        self.updates = {}
        self.lock = threading.Lock()
        self.outbox = queue.SimpleQueue()
        self.inbox = queue.SimpleQueue()
        inbox = self.inbox

        class Messages(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b"".join(self.chunks())
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                inbox.put((self.path.rpartition("/")[2], body))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def chunks(self):
                while length := int(self.rfile.readline(), 16):
                    yield self.rfile.read(length)
                    self.rfile.readline()
                self.rfile.readline()

            def log_message(self, *_):
                pass

        address = os.environ.get("LIBPROCESS_IP", ADDRESS.rpartition(":")[0])
        server = http.server.ThreadingHTTPServer((address, int(os.environ["LIBPROCESS_PORT"])), Messages)
        self.pid = "executor(1)@%s:%s" % server.server_address
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=self.deliver, daemon=True).start()

    def deliver(self):
        """Sends messages in order, by one connection. What is lost is told when the agent asks for it."""
        host, _, port = ADDRESS.rpartition(":")
        connection = None
        while True:
            name, body, sent = self.outbox.get()
            if sent:
                sent.set()
                continue
            head = (
                f"POST /{AGENT}/mesos.internal.{name} HTTP/1.1\r\nUser-Agent: libprocess/{self.pid}\r\n"
                f"Libprocess-From: {self.pid}\r\nConnection: Keep-Alive\r\nHost: \r\nContent-Length: {len(body)}\r\n\r\n"
            )
            try:
                if name == "ReregisterExecutorMessage":
                    # As drivers do: what is left of the link may lead to an agent that is no more.
                    connection = None
                if connection is None:
                    connection = socket.create_connection((host, int(port)))
                connection.sendall(head.encode() + body)
                if not connection.recv(4096).startswith(b"HTTP/1.1 202"):
                    raise OSError
            except OSError:
                connection = None

    def send(self, name, body):
        self.outbox.put((name, body, None))

    def flush(self):
        """Waits until what was to be sent is sent, or lost."""
        sent = threading.Event()
        self.outbox.put((None, None, sent))
        sent.wait()

    def update(self, task, state, message):
        identifier = uuid.uuid4().bytes
        status = (
            identity(1, task)
            + field(2, STATES[state])
            + field(4, message)
            + identity(5, SLAVE)
            + identity(7, EXECUTOR)
            + field(9, 2)
            + field(11, identifier)
        )
        update = (
            identity(1, FRAMEWORK)
            + identity(2, EXECUTOR)
            + identity(3, SLAVE)
            + field(4, status)
            # A double: the 1.0 of a clock that nobody reads.
            + varint(5 << 3 | 1)
            + b"\0\0\0\0\0\0\xf0\x3f"
            + field(6, identifier)
        )
        with self.lock:
            self.updates[identifier] = update
        self.send("StatusUpdateMessage", field(1, update) + field(2, self.pid))

    def message(self, data):
        body = identity(1, SLAVE) + identity(2, FRAMEWORK) + identity(3, EXECUTOR) + field(4, data)
        self.send("ExecutorToFrameworkMessage", body)

    def run(self, executor):
        self.executor = executor
        self.send("RegisterExecutorMessage", identity(1, FRAMEWORK) + identity(2, EXECUTOR))
        while not self.take(*self.inbox.get()):
            pass

    def take(self, name, body):
        kind = name.removeprefix("mesos.internal.")
        if kind == "RunTaskMessage":
            info = fields(body)[4]
            task = named(info, 2)
            with self.lock:
                self.tasks[task] = info
            self.executor.launch(task, fields(info).get(6, b"").decode())
        elif kind == "KillTaskMessage":
            self.executor.kill(named(body, 2))
        elif kind == "StatusUpdateAcknowledgementMessage":
            with self.lock:
                self.updates.pop(fields(body)[4], None)
                self.tasks.pop(named(body, 3), None)
        elif kind == "FrameworkToExecutorMessage":
            self.executor.framework_message(fields(body)[4].decode())
        elif kind == "ReconnectExecutorMessage":
            with self.lock:
                tasks = [field(3, task) for task in self.tasks.values()]
                updates = [field(4, update) for update in self.updates.values()]
            known = identity(1, EXECUTOR) + identity(2, FRAMEWORK)
            self.send("ReregisterExecutorMessage", known + b"".join(tasks + updates))
        elif kind == "ShutdownExecutorMessage" and self.executor.shutdown():
            self.flush()
            return True
        return False

