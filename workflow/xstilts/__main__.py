"""`python -m xstilts`."""

import sys

from xstilts.processes import signals

signals.end_immediately()

from xstilts.processes import fork_server  # noqa: E402 - a signal may come during any import

fork_server.delegate(sys.argv[1:])

from xstilts.cli import main  # noqa: E402 - the client of a fork server needs none of it

sys.exit(main())
