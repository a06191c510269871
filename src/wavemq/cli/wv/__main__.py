"""`python -m wavemq.cli.wv`: the same as the installed command.

Owns nothing, refuses everything else. Fault model: that of the command.
"""

from __future__ import annotations

from wavemq.cli.wv.application import main

if __name__ == "__main__":
    main()
