"""`python -m xstilts`."""

import sys

from xstilts.processes import signals

signals.end_immediately()

from xstilts.processes import fork_server  # noqa: E402 - a signal may come during any import

FORKED = sys.argv[1:2] == [fork_server.COMMAND]
if FORKED:
    sys.argv[1:] = fork_server.Server(int(sys.argv[2])).serve()
else:
    fork_server.delegate(sys.argv[1:])

from xstilts.cli import main  # noqa: E402 - a server and its clients need none of it

if FORKED:
    fork_server.end(main)
sys.exit(main())
