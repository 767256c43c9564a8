//! The forwarder between Endpoints that hold the other ends of its hops.

mod batch;
mod checks;
mod control;
mod figures;
mod helpers;
mod media;
mod nacks;
mod noise;
mod nonces;
mod repeats;
mod rtcp;
