"""nagios_checks.py HOST PORT FRAMEWORK: what check_mesos.py of nagios-mesos finds, a line for each check. As a program it takes no other port than
5050, since it forgets that what stands on its command line is text."""
import os
import sys

sys.path.insert(0, os.path.dirname(sys.executable))
sys.dont_write_bytecode = True

from check_mesos import MesosMaster

host, port, framework = sys.argv[1:]
for metric in MesosMaster(host, int(port), [framework]).probe():
    print("%s: %s" % (metric.name, metric.value))
