#!/usr/bin/env python3
"""ftp.py FOLDER [CERTIFICATE]: an FTP server with the files of FOLDER, for anonymous and for alice (password: p@ss, her files in FOLDER/alice),
at the port that it prints. With a certificate it is encrypted from the first byte."""
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer


class Encrypted(TLS_FTPHandler):
    tls_control_required = True
    tls_data_required = True

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.secure_connection(self.ssl_context)


handler = FTPHandler
if len(sys.argv) > 2:
    handler = Encrypted
    handler.certfile = sys.argv[2]
handler.authorizer = DummyAuthorizer()
handler.authorizer.add_anonymous(sys.argv[1])
handler.authorizer.add_user("alice", "p@ss", sys.argv[1] + "/alice")
server = FTPServer(("127.0.0.1", 0), handler)
print(server.socket.getsockname()[1], flush=True)
server.serve_forever()
