"""What the Key Distributor vouches for, and how an Endpoint holds the Focus to it.

The Focus carries every statement and is believed in none. A statement is a JWS signed under the
Key Distributor's certificate authority, whose hash an Endpoint has from its link. Pure: time comes
in, and the only I/O is `Authority.load`.
"""
