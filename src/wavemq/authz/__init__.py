"""Authority: the perspective graph, the prover, the verifier, and their verdicts."""
