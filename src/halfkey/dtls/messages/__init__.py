"""Handshake messages, alerts and ACKs: each a dataclass with its reader and writer beside it.

`decode` raises `CodecError` for anything but exactly one well-formed message body.
"""
