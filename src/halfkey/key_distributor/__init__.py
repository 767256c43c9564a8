"""The Key Distributor: admits participants, ends their DTLS, and gives out EKT keys (RFC 8871)."""
