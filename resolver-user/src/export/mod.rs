//! Shows what both halves count and measure to monitoring systems.
//!
//! In: an [`Observed`] state of the daemon. Out: [`Family`]s of numbers with names, help and units ([`families`]: the one
//! place where names are made; the table in `packaging/metrics.md` is printed from it), as OpenMetrics or Prometheus text
//! ([`text`]), over HTTP ([`serve_metrics`]) or the control socket.
//! Refuses: to count anything itself, to change anything, and HTTP beyond one bounded GET or HEAD per connection.
//! Ruled by OpenMetrics 1.0, Prometheus' text format 0.0.4, RFC 9110, RFC 9112.

mod families;
mod family;
mod guide;
mod http;
mod process;
mod table;
mod text;

pub use families::{CacheFacts, Observed, TrustFacts, families};
pub use family::{Family, Kind, Sample, Value};
pub use guide::{GuideFacts, guide_families};
pub use http::{ExportError, MetricsSocket, bind_metrics, serve_metrics};
pub use process::ProcessFacts;
pub use table::table;
pub use text::{Format, text};
