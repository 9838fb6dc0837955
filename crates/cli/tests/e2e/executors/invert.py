#!/usr/bin/env python3
"""A custom executor on the old driver: each task's data is the address of an image, in the format PPM, whose colours it inverts and uploads."""
import threading
import urllib.request

from old_driver import Driver


class Inverter:
    def __init__(self, driver):
        self.driver = driver

    def launch(self, task, data):
        # Several tasks are at work at once.
        threading.Thread(target=self.work, args=(task, data), daemon=True).start()

    def work(self, task, address):
        self.driver.update(task, "TASK_RUNNING", "")
        with urllib.request.urlopen(address) as answer:
            image = answer.read()
        *head, pixels = image.split(b"\n", 3)
        inverted = b"\n".join(head + [bytes(255 - value for value in pixels)])
        upload = urllib.request.Request(address.replace("/images/", "/results/"), inverted, method="PUT")
        with urllib.request.urlopen(upload) as answer:
            self.driver.update(task, "TASK_FINISHED", f"uploaded: {answer.status}")

    def kill(self, task):
        self.driver.update(task, "TASK_KILLED", "")

    def framework_message(self, data):
        pass

    def shutdown(self):
        return True


driver = Driver()
driver.run(Inverter(driver))
