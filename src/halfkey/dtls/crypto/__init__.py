"""Key schedule, record protection, key exchange and signatures, on `cryptography`'s primitives."""
