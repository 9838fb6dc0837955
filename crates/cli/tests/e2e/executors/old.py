#!/usr/bin/env python3
"""A custom executor on the old driver."""
from behaviour import Behaviour
from old_driver import Driver

driver = Driver()
driver.run(Behaviour(driver.update, driver.message))
