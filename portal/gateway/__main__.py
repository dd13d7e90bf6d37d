"""The node without the pages: `python -m portal.gateway`, as `make run` starts it.

It does what `flask gateway run` does, and is there sooner and smaller for not loading what only pages need.
"""

import sys

from portal import logs
from portal.config import Config, WrongSetting
from portal.errors import PortalError
from portal.gateway import node


def main() -> int:
    """Until SIGTERM or SIGINT; the exit status."""
    try:
        config = Config.read()
        logs.set_up(config)
        node.run(config)
    except (PortalError, WrongSetting) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
