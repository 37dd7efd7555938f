"""Code that runs in a process of its own, which may then give up what it has, or be killed."""

import json
import os
import subprocess
import sys
import textwrap

PRELUDE = """
import ctypes, errno, json, os, socket, subprocess, sys, threading
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)

def status(task="self"):
    lines = Path(f"/proc/{task}/status").read_text().splitlines()
    return {line.split(":")[0]: line.split(":")[1].split() for line in lines}

def call(name, *arguments):
    "Do what returns -1, and give the name of its error, or ok."
    return errno.errorcode[ctypes.get_errno()] if getattr(libc, name)(*arguments) == -1 else "ok"

def tried(what):
    "Give the name of the error that comes of it, or ok."
    try:
        what()
    except OSError as error:
        return errno.errorcode[error.errno]
    except Exception as error:
        return type(error).__name__
    return "ok"

def tell(value):
    print(json.dumps(value), flush=True)
"""


def child(code, **environ):
    """Run Python code that calls `tell`, and give its exit status and what it has told last."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    lines = done.stdout.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else None


def told(code, **environ):
    """Give what the code has told, which has to end well."""
    status, value = child(code, **environ)
    assert status == 0
    return value
