"""Sockets: local and peering servers, uplinks, object storage client and server."""
