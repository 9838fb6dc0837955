#!/usr/bin/env python3
"""pymesos_executor.py SIGN: an executor made with pymesos. Each of its tasks runs until the file SIGN is there. It says what it hears on
standard output, which is a file in its sandbox."""

import pathlib
import sys
import threading
import time

from addict import Dict
from pymesos import Executor, MesosExecutorDriver, decode_data, encode_data


def say(*words):
    print(*words, flush=True)


class Waiting(Executor):
    def __init__(self, sign):
        self.sign = sign
        self.killed = set()

    def registered(self, driver, executor_info, framework_info, agent_info):
        say("registered", executor_info.executor_id.value, framework_info.id.value, agent_info.id.value)

    def reregistered(self, driver, agent_info):
        say("reregistered", agent_info.id.value)

    def disconnected(self, driver):
        say("disconnected")

    def launchTask(self, driver, task):
        say("launched", task.task_id.value, decode_data(task.data).decode())
        threading.Thread(target=self.run, args=(driver, task.task_id.value)).start()

    def run(self, driver, task):
        self.update(driver, task, "TASK_RUNNING")
        driver.sendFrameworkMessage(encode_data(f"greetings of {task}".encode()))
        while task not in self.killed and not self.sign.exists():
            time.sleep(0.02)
        self.update(driver, task, "TASK_KILLED" if task in self.killed else "TASK_FINISHED")

    def update(self, driver, task, state):
        driver.sendStatusUpdate(Dict(task_id={"value": task}, state=state, timestamp=time.time(), message=f"says {task}"))

    def killTask(self, driver, task_id):
        self.killed.add(task_id.value)

    def frameworkMessage(self, driver, message):
        say("heard", decode_data(message).decode())

    def shutdown(self, driver):
        say("shutdown")

    def error(self, driver, message):
        say("error", message)


if __name__ == "__main__":
    MesosExecutorDriver(Waiting(pathlib.Path(sys.argv[1])), use_addict=True).run()
