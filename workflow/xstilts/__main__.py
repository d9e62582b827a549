"""`python -m xstilts`."""

import sys

from xstilts import fork_server

fork_server.delegate(sys.argv[1:])

from xstilts.cli import main  # noqa: E402 - the client of a fork server needs none of it

sys.exit(main())
