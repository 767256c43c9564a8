//! UDP workers around the forwarder.
