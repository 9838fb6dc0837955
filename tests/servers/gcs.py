#!/usr/bin/env python3
"""gcs.py FOLDER: a server of Google Cloud Storage with the files of FOLDER in the bucket `bucket`, at the port that it prints."""
import pathlib
import sys
import time
import urllib.parse
import urllib.request

from gcp_storage_emulator.server import create_server

server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="bucket")
server.start()
port = server._api._httpd.server_port
for path in pathlib.Path(sys.argv[1]).rglob("*"):
    if path.is_file():
        name = urllib.parse.quote(str(path.relative_to(sys.argv[1])))
        address = f"http://127.0.0.1:{port}/upload/storage/v1/b/bucket/o?uploadType=media&name={name}"
        urllib.request.urlopen(urllib.request.Request(address, data=path.read_bytes(), method="POST"))
print(port, flush=True)
while True:
    time.sleep(60)
