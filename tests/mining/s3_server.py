"""An S3-compatible server on loopback, and an environment that knows of no other."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from s3fs import S3FileSystem


@contextmanager
def s3_server() -> Iterator[None]:
    """Serve S3; the environment, also that of processes started meanwhile, leads there."""
    # it brings Flask, whose proxies vLLM stumbles over when it looks through all that is imported
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                environment.delenv(name)
            for name, value in {
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": f"http://{host}:{port}",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
                "NO_PROXY": "127.0.0.1",
            }.items():
                environment.setenv(name, value)
            yield
    finally:
        server.stop()


def new_bucket() -> str:
    """Return the name of a bucket that is there, and empty."""
    S3FileSystem.clear_instance_cache()  # it holds what was opened with another environment
    name = f"bucket-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name
