"""The WAVE agent: authority for other programs, over gRPC, HTTP and within this process."""
