//! dnsmasq itself is asked: which options it has, and what it thinks of files that we read too.

mod options;
mod syntax;
