"""The Focus (RFC 4353's term for call processing): offers, answers and the roster; no media key."""
