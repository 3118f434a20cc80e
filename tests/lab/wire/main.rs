//! What holds on real packets, between a client and the daemon in the lab that `cargo xtask test` raises.

mod access;
mod attacks;
mod clients;
mod cookies;
mod equality;
mod frames;
mod interfaces;
mod life;
mod listening;
mod metrics;
mod popular;
mod rights;
mod sentinel;
mod status;
