#!/usr/bin/env python3
"""certificate.py FOLDER: makes a certificate for localhost and its key (server.pem), and the authority to trust (authority.pem)."""
import pathlib
import sys

import trustme

folder = pathlib.Path(sys.argv[1])
authority = trustme.CA()
authority.cert_pem.write_to_path(folder / "authority.pem")
authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
print("made", flush=True)
