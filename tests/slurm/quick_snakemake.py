"""Snakemake that asks SLURM for its jobs twice a second: by default it waits 10 to 180 seconds."""

import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 0.5, lambda self, _: None)
sys.argv[0] = "snakemake"
sys.exit(main())
