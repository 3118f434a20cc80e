//! Authenticated denial of existence: NSEC by itself, and whole negative answers of either kind.

mod denials;
mod nsec;
