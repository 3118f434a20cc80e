//! Authenticating referrals: which algorithms, digests and keys make a zone secure, and which only insecure.

mod algorithms;
