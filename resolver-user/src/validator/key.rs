//! Keys and the DS records that vouch for them (RFC 4034 §2, §5, Appendix B).

/// A zone key (placeholder).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ZoneKey {}
