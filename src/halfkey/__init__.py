"""Halfkey: Privacy-Enhanced RTP Conferencing (RFC 8871, 8723, 8870, 9185)."""

__version__ = "0.1.0"
