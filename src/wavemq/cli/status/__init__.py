"""`wavemq status`: what a running router has to say about itself."""

from wavemq.cli.status.command import status

__all__ = ["status"]
