"""Between bytes of peers and our types: protobuf, handshake, proof references."""
