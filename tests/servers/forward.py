#!/usr/bin/env python3
"""forward.py: an HTTP proxy at the port that it prints; it logs what it is asked for to standard error."""
import time

import proxy

FLAGS = ["--hostname", "127.0.0.1", "--port", "0", "--num-workers", "1", "--num-acceptors", "1", "--threaded"]

if __name__ == "__main__":
    with proxy.Proxy(FLAGS) as server:
        print(server.flags.port, flush=True)
        while True:
            time.sleep(60)
