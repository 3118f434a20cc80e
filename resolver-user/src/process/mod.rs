//! What makes the process a good service: whom it runs as, what it may do, what it tells the service manager, and the
//! sockets that it was given.
//!
//! In: the configuration's `user`, `group`, `chroot`; the environment of a service manager. Rooms: `identity` becomes
//! somebody else and keeps few capabilities, `chroot` changes the root at the end of the start, `confine` forbids system
//! calls, `manager` speaks the protocol of sd_notify(3), `inherited` takes sockets from the service manager.
//! Refuses: to know anything of DNS.

mod chroot;
mod confine;
mod identity;
mod inherited;
mod manager;

pub use chroot::LateChroot;
pub use confine::{ConfineError, forbid_system_calls};
pub use identity::{Identity, IdentityError, keep_capabilities};
pub use inherited::Inherited;
pub use manager::{ServiceManager, watchdog_period};
