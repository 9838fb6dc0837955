#!/usr/bin/env python3
"""s3.py FOLDER: an S3 server with the files of FOLDER in the bucket `bucket`, which checks who asks and how requests are signed.
It prints its port, and the key and the secret of a user who may read."""
import os
import pathlib
import sys
import threading
import time

FILES = [path for path in sorted(pathlib.Path(sys.argv[1]).rglob("*")) if path.is_file()]
# From then on, moto checks signatures: after the user, the policy, the key, the bucket, and each file.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(4 + len(FILES))

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()


def client(service):
    return boto3.client(service, endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
                        aws_access_key_id="x", aws_secret_access_key="x")


iam, s3 = client("iam"), client("s3")
iam.create_user(UserName="reader")
policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}'
iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
key = iam.create_access_key(UserName="reader")["AccessKey"]
s3.create_bucket(Bucket="bucket")
for path in FILES:
    s3.put_object(Bucket="bucket", Key=str(path.relative_to(sys.argv[1])), Body=path.read_bytes())
print(port, key["AccessKeyId"], key["SecretAccessKey"], flush=True)
while True:
    time.sleep(60)
