//! The user half, in the order a miss travels.
//!
//! * [`resolve`]: the whole journey on one page; read this first
//! * [`config`]: option text becomes a checked configuration
//! * [`interfaces`]: what network interfaces there are, for the kernel half
//! * [`listener`]: takes queries from clients and gives them their answers
//! * [`local`]: what the operator has said about names; answered before anything else
//! * [`cache`]: keeps answers, and lets identical misses share one search
//! * [`upstream`]: asks other servers
//! * [`trust`]: what validation starts from, and when that changes
//! * [`filter`]: takes out of answers what the operator does not want to be seen
//! * [`iana`]: what IANA publishes about the root's keys
//! * [`validator`]: decides what may be believed
//! * [`slow_lane`]: lets costly validations delay nobody else
//! * [`answer`]: the one place that sets AD, RCODE, TC and extended errors
//! * [`publish`]: puts finished answers where XDP finds them
//! * [`control`]: lets the operator look in
//! * [`export`]: shows what is counted to monitoring systems
//! * [`daemon`]: builds the rooms, joins them, stops them in order
//! * [`chain`]: the chain of trust for one question, told to people
//! * [`process`]: what makes the process a good service: identity, capabilities, the service manager, inherited sockets
//! * [`logging`]: where log lines go
//! * [`cli`]: the command line
//! * [`access`]: who may ask; for the listeners and the kernel half
//! * [`rate_limit`]: how many answers a client gets; the same budgets for the listeners and the kernel half
//! * [`access`]: who may ask; for the listeners and the kernel half. [`serving`]: whether XDP answers
//! * [`witness`]: what clients get from either half: read, counted, captured
//! * [`cookies`]: the secrets of clients' DNS cookies; for the listeners and the kernel half
//! * [`metrics`], [`clock`], [`wire`]: counters, time, and the vocabulary of every room
//! * [`replace`]: a file, replaced as a whole or not at all

pub mod access;
pub mod answer;
pub mod cache;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod cookies;
pub mod daemon;
pub mod export;
pub mod filter;
pub mod iana;
pub mod interfaces;
pub mod listener;
pub mod local;
pub mod logging;
pub mod metrics;
pub mod prefetch;
pub mod process;
pub mod publish;
pub mod rate_limit;
pub mod replace;
pub mod resolve;
pub mod saved;
pub mod serving;
pub mod slow_lane;
pub mod trust;
pub mod upstream;
pub mod validator;
pub mod wire;
pub mod witness;
