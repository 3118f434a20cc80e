//! The user half, in the order a miss travels.
//!
//! * [`resolve`]: the whole journey on one page; read this first
//! * [`config`]: option text becomes a checked configuration
//! * [`listener`]: takes queries from clients and gives them their answers
//! * [`cache`]: keeps answers, and lets identical misses share one search
//! * [`upstream`]: asks other servers
//! * [`trust`]: what validation starts from, and when that changes
//! * [`validator`]: decides what may be believed
//! * [`answer`]: the one place that sets AD, RCODE, TC and extended errors
//! * [`publish`]: puts finished answers where XDP finds them
//! * [`control`]: lets the operator look in
//! * [`daemon`]: builds the rooms, joins them, stops them in order
//! * [`chain`]: the chain of trust for one question, told to people
//! * [`process`]: what makes the process a good service: identity, capabilities, the service manager, inherited sockets
//! * [`logging`]: where log lines go
//! * [`cli`]: the command line
//! * [`metrics`], [`clock`], [`wire`]: counters, time, and the vocabulary of every room

pub mod answer;
pub mod cache;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod listener;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod publish;
pub mod resolve;
pub mod trust;
pub mod upstream;
pub mod validator;
pub mod wire;
