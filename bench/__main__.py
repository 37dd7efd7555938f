"""Run all benchmarks, or those named."""

import importlib
import sys

for name in sys.argv[1:] or ("startup", "create", "config", "channels", "devicemodel"):
    importlib.import_module(f"bench.{name}").run()
