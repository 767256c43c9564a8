"""Where in its state folder the Key Distributor keeps what others look for there."""

STATE_FILE = "kd.sqlite"
"""See `halfkey.key_distributor.store`."""

DTLS_NAME = "dtls"
"""The certificate and key of the DTLS associations."""

ADMINISTRATION_SOCKET = "kd.sock"
"""See `halfkey.key_distributor.administration`."""

AUDIT_FOLDER, AUDIT_KEY = "audit", "audit.key"
"""The audit log, and the key that signs it."""
