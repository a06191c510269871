"""WAVE objects: entities, attestations, proofs, encrypted messages, policies, and their DER."""
