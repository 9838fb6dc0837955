#!/usr/bin/env python3
"""pymesos_operator.py MASTER AGENT: makes the reading calls of pymesos's operator drivers, prints what the answers are called, and then a
line for each event of the master's, until a framework has come and gone."""

import sys

from pymesos import MesosOperatorAgentDriver, MesosOperatorMasterDriver, OperatorMaster

master, agent = sys.argv[1:]


def say(*words):
    print(*words, flush=True)


class Watching(OperatorMaster):
    def taskAdded(self, info):
        say("event task-added", info["task_id"]["value"])

    def taskUpdated(self, info):
        say("event task-updated", info["state"])

    def frameworkAdded(self, info):
        say("event framework-added", info["framework_info"]["name"])

    def frameworkUpdated(self, info):
        say("event framework-updated", info["framework_info"]["name"])

    def frameworkRemoved(self, info):
        say("event framework-removed", info["name"])
        driver.stop()

    def agentAdded(self, info):
        say("event agent-added", info["agent_info"]["hostname"])

    def agentRemoved(self, info):
        say("event agent-removed")


driver = MesosOperatorMasterDriver(master, Watching())
BOTH = ["getHealth", "getFlags", "getVersion", "getLoggingLevel", "getState", "getFrameworks", "getExecutors", "getTasks"]
MASTERS = BOTH + ["getAgents", "getRoles", "getWeights", "getMaster", "getMaintenanceStatus", "getMaintenanceSchedule", "getQuota"]
for name in MASTERS:
    say("master", name, getattr(driver, name)()["type"])
say("master getMetrics", driver.getMetrics(10**9)["type"])
on_agent = MesosOperatorAgentDriver(agent)
for name in BOTH + ["getContainers"]:
    say("agent", name, getattr(on_agent, name)()["type"])
say("watching")
driver.run()
say("stopped")
