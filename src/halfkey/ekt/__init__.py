"""EKT (RFC 8870): the EKTKey message, and when keys are announced, used and forgotten."""
