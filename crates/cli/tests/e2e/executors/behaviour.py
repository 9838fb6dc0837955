"""What the executors of the tests do, whichever protocol they speak.

A task's data says what it is: nothing, for one that runs until it is told otherwise; `finish`; or `until PATH`, for one that finishes when
there is such a file. A framework's message is answered, or ends a task: `where`, `finish TASK`. What happens is written into the sandbox:
a line for each event in `events`.
"""
import json
import os
import threading
import time


class Behaviour:
    """Needs `update(task, state, message)` and `message(data)`, which must not wait for the agent."""

    def __init__(self, update, message):
        self.update = update
        self.message = message
        self.running = set()
        self.ignores_shutdown = "EXECUTOR_IGNORES_SHUTDOWN" in os.environ

    def note(self, *words):
        with open("events", "a", encoding="utf-8") as events:
            events.write(" ".join(words) + "\n")

    def launch(self, task, data):
        self.note("launch", task)
        self.running.add(task)
        self.update(task, "TASK_RUNNING", "")
        if data == "finish":
            self.end(task, "TASK_FINISHED")
        elif data.startswith("until "):
            path = data.removeprefix("until ")
            threading.Thread(target=self.wait, args=(task, path), daemon=True).start()

    def wait(self, task, path):
        while not os.path.exists(path):
            time.sleep(0.02)
        self.end(task, "TASK_FINISHED")
        self.note("reported", task)

    def end(self, task, state):
        if task in self.running:
            self.running.remove(task)
            self.update(task, state, f"by {os.getpid()}")

    def kill(self, task):
        self.note("kill", task)
        self.end(task, "TASK_KILLED")

    def framework_message(self, data):
        if data == "where":
            self.message(json.dumps({"pid": os.getpid(), "sandbox": os.getcwd()}))
        elif data.startswith("finish "):
            self.end(data.removeprefix("finish "), "TASK_FINISHED")
        else:
            self.message("heard " + data)

    def shutdown(self):
        """Whether the executor ends now."""
        self.note("shutdown")
        if self.ignores_shutdown:
            return False
        for task in sorted(self.running):
            self.end(task, "TASK_KILLED")
        return True
