#!/usr/bin/env python3
"""pymesos_scheduler.py MASTER SIGN TASK...: a scheduler made with pymesos that runs tasks in the executor of pymesos_executor.py, until all have
ended. A task is killed once it runs if its name begins with `killed`. It prints a line for each of its callbacks."""

import getpass
import pathlib
import sys

from addict import Dict
from pymesos import MesosSchedulerDriver, Scheduler, decode_data, encode_data

EXECUTOR = pathlib.Path(__file__).with_name("pymesos_executor.py")
# What a task and the executor take.
SHARE = [Dict(name="cpus", type="SCALAR", scalar={"value": 0.1}), Dict(name="mem", type="SCALAR", scalar={"value": 32})]
LIVE = {"TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"}


def say(*words):
    print(*words, flush=True)


class Running(Scheduler):
    def __init__(self, sign, tasks):
        self.executor = Dict(
            executor_id={"value": "waiting"},
            name="Waiting",
            command={"value": f"exec {sys.executable} -B {EXECUTOR} {sign}"},
            resources=SHARE,
        )
        self.waiting = list(tasks)
        self.states = {}

    def registered(self, driver, framework_id, master_info):
        say("registered", framework_id.value, master_info.version)

    def reregistered(self, driver, master_info):
        say("reregistered", driver.framework_id)
        driver.reconcileTasks([{"task_id": {"value": task}} for task in self.states])

    def disconnected(self, driver):
        say("disconnected")

    def resourceOffers(self, driver, offers):
        for offer in offers:
            cpus = sum(resource.scalar.value for resource in offer.resources if resource.name == "cpus")
            fit = int((cpus - 0.1) / 0.1)
            batch, self.waiting = self.waiting[:fit], self.waiting[fit:]
            tasks = [
                Dict(
                    task_id={"value": name},
                    name=f"task {name}",
                    agent_id=offer.agent_id,
                    executor=self.executor,
                    data=encode_data(f"data of {name}".encode()),
                    resources=SHARE,
                )
                for name in batch
            ]
            driver.launchTasks(offer.id, tasks, {"refuse_seconds": 1})
        if not self.waiting:
            # A call that fails is the end of the package's thread: none is to be made when the master dies.
            driver.suppressOffers()

    def statusUpdate(self, driver, update):
        task = update.task_id.value
        say("update", task, update.state, update.get("reason", "-"))
        self.states[task] = update.state
        if update.state == "TASK_RUNNING" and task.startswith("killed"):
            driver.killTask(update.task_id)
        if not self.waiting and not LIVE & set(self.states.values()):
            driver.stop()

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        say("message", executor_id.value, decode_data(message).decode())
        driver.sendFrameworkMessage(executor_id, agent_id, encode_data(b"thanks"))

    def executorLost(self, driver, executor_id, agent_id, status):
        say("executor-lost", executor_id.value, status)

    def slaveLost(self, driver, agent_id):
        say("agent-lost", agent_id.value)

    def error(self, driver, message):
        say("error", message)


if __name__ == "__main__":
    master, sign, *tasks = sys.argv[1:]
    framework = Dict(user=getpass.getuser(), name="pymesos", checkpoint=True, failover_timeout=600)
    MesosSchedulerDriver(Running(sign, tasks), framework, master, use_addict=True).run()
    say("stopped")
