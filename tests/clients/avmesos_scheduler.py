#!/usr/bin/env python3
"""avmesos_scheduler.py MASTER: a scheduler made with avmesos. It runs a task to its end and another that it kills; then it goes away without a
word, comes back under the same id, reconciles, and leaves. It prints a line for each of its callbacks."""

import getpass
import sys
import threading
import time

from avmesos.client import MesosClient


SOON = {"filters": {"refuse_seconds": 0.2}}


def say(*words):
    print(*words, flush=True)


class Framework:
    def __init__(self, master, id=None):
        self.client = MesosClient(
            mesos_urls=[f"http://{master}"],
            frameworkId=id,
            frameworkName="avmesos, à la carte",
            frameworkUser=getpass.getuser(),
            max_reconnect=1,
        )
        self.client.set_role("av")
        self.client.set_failover_timeout(600)
        self.client.set_credentials("av", "no secret")
        self.client.on(MesosClient.SUBSCRIBED, self.subscribed)
        self.client.on(MesosClient.OFFERS, self.offered)
        self.client.on(MesosClient.UPDATE, self.updated)
        self.client.on(MesosClient.HEARTBEAT, lambda _: None)
        self.client.on(MesosClient.ERROR, lambda message: say("error", message))
        self.subscription = threading.Event()
        self.finished = threading.Event()
        self.killed = threading.Event()
        self.running = threading.Event()
        self.lasting = None
        self.waiting = []
        self.thread = threading.Thread(target=self.client.register, daemon=True)

    def subscribed(self, driver):
        self.driver = driver
        say("subscribed", driver.frameworkId, self.client.get_master_info()["version"])
        if not self.subscription.is_set():
            self.subscription.set()
            threading.Thread(target=self.nudge, daemon=True).start()

    def nudge(self):
        """Causes events: the package sees one only when the next one arrives."""
        while not self.client.stop and not self.client.disconnect:
            self.driver.reconcile([{"task_id": {"value": "unknown"}}])
            time.sleep(0.2)

    def offered(self, offers):
        for offer in offers:
            if not self.waiting:
                offer.decline(SOON)
                continue
            tasks, self.waiting = self.waiting, []
            for task in tasks:
                task["agent_id"] = offer.get_offer()["agent_id"]
            offer.accept(tasks, SOON)

    def updated(self, update):
        status = update["status"]
        name, state = status["task_id"]["value"], status["state"]
        if name == "unknown":
            return
        say("update", name, state, status.get("reason", "-"))
        if state == "TASK_FINISHED":
            self.finished.set()
        elif state == "TASK_KILLED":
            self.killed.set()
        elif state == "TASK_RUNNING" and name == "lasting":
            self.lasting = status
            self.running.set()


def task(name, command):
    return {
        "name": name,
        "task_id": {"value": name},
        "command": {"value": command},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
        ],
    }


master = sys.argv[1]
first = Framework(master)
first.waiting = [task("short", "echo ü"), task("lasting", "sleep 1000")]
first.thread.start()
first.finished.wait()
first.running.wait()
first.client.disconnect_framework()
say("gone")

again = Framework(master, first.client.frameworkId)
again.thread.start()
again.subscription.wait()
again.driver.reconcile([{"task_id": {"value": "lasting"}}])
again.running.wait()
again.driver.suppress()
again.driver.revive()
again.driver.kill(again.lasting["agent_id"]["value"], "lasting")
again.killed.wait()
again.client.stop = True
again.driver.tearDown()
again.thread.join()
say("stopped")
