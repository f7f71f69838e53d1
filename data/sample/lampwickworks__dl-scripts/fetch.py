#!/usr/bin/env python3
"""Download the tarballs named in a list, a few at a time, and check their sums."""
import argparse
import asyncio
import functools
import hashlib
import tarfile
from pathlib import Path

import aiohttp


def retry(times=3, wait=2.0):
    def wrap(fn):
        @functools.wraps(fn)
        async def inner(*args, **kwargs):
            for left in reversed(range(times)):
                try:
                    return await fn(*args, **kwargs)
                except (aiohttp.ClientError, asyncio.TimeoutError) as e:
                    if not left:
                        raise
                    print('  again:', args[1], e)
                    await asyncio.sleep(wait)
        return inner
    return wrap


@retry(times=5)
async def fetch(session, url, dest):
    async with session.get(url, timeout=600) as r:
        r.raise_for_status()
        with dest.open('wb') as f:
            async for chunk in r.content.iter_chunked(1 << 20):
                f.write(chunk)


def md5(path):
    h = hashlib.md5()
    with open(path, 'rb') as f:
        while chunk := f.read(1 << 20):
            h.update(chunk)
    return h.hexdigest()


async def fetch_all(rows, folder, parallel):
    gate = asyncio.Semaphore(parallel)

    async def one(session, url, digest):
        dest = folder / url.rsplit('/', 1)[-1]
        if dest.exists() and md5(dest) == digest:
            return dest
        async with gate:
            await fetch(session, url, dest)
        if md5(dest) != digest:
            raise IOError('bad checksum: %s' % dest)
        return dest

    async with aiohttp.ClientSession() as session:
        return await asyncio.gather(*(one(session, u, d) for u, d in rows))


if __name__ == '__main__':
    ap = argparse.ArgumentParser()
    ap.add_argument('list', type=Path)
    ap.add_argument('--out', type=Path, default=Path('data'))
    ap.add_argument('-j', type=int, default=3)
    args = ap.parse_args()
    args.out.mkdir(exist_ok=True)
    rows = [line.split() for line in args.list.read_text().splitlines() if line.strip()]
    for tar in asyncio.run(fetch_all(rows, args.out, args.j)):
        print('unpacking', tar)
        with tarfile.open(tar) as t:
            t.extractall(args.out)
