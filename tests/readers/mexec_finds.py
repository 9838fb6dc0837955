"""mexec_finds.py HOST:PORT NAME: where mexec finds the tasks of a name, a line for each."""
import sys

from mexec.mesos import Mesos

cluster = Mesos([sys.argv[1]])
tasks = cluster.get_mesos_tasks(sys.argv[2])
hosts = cluster.get_slave_hostnames([task.slave_id for task in tasks])
for task in tasks:
    print(task.task_id, hosts[task.slave_id])
