//! What holds on real packets, between a client and the daemon in the lab that `cargo xtask test` raises.

mod clients;
mod equality;
mod frames;
mod life;
mod rights;
mod status;
