"""The Key Distributor's audit log: append-only, hash-chained, signed; see docs/audit.md."""
