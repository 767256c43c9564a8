"""Identity assertions: who a participant is, bound to its certificate, association and sources.

Pure but for `halfkey.identity.jwks`: no I/O, and the time comes in.
"""
