//! What holds on real packets, between a client and the daemon in the lab that `cargo xtask test` raises.

mod access;
mod attacks;
mod bpftool;
mod clients;
mod cookies;
mod equality;
mod floods;
mod frames;
mod interfaces;
mod life;
mod limits;
mod listening;
mod metrics;
mod popular;
mod rights;
mod seeing;
mod sentinel;
mod status;
mod verifying;
