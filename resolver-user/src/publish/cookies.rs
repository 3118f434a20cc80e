//! The secrets of cookies in the kernel half's settings, replaced while programs read them.
//!
//! The element that is not in use is written, then chosen by one store; once no program runs any more that saw the other one
//! chosen, the next change may write that. So every program sees one whole pair of secrets.

use std::io;
use std::mem::offset_of;

use resolver_ebpf::abi::{COOKIE_SLOTS, COOKIES_OFF, CookieSecrets, Settings};

use super::endpoints::{store, store_u32};
use super::memory::MappedArray;

/// Which element is in use.
#[derive(Debug, Default)]
pub struct CookieSlots {
    /// The last one chosen.
    chosen: usize,
}

impl CookieSlots {
    /// Puts secrets in force, or switches cookies off; `wait` waits until no program runs that was running before.
    ///
    /// # Errors
    /// `wait` failed: the secrets are in force, but the next change must not follow before a program that runs now has ended.
    pub fn change(
        &mut self,
        settings: &MappedArray,
        secrets: Option<CookieSecrets>,
        wait: impl Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        let cookies = offset_of!(Settings, cookies);
        match secrets {
            None => store_u32(settings, cookies, COOKIES_OFF),
            Some(secrets) => {
                self.chosen = (self.chosen + 1) % COOKIE_SLOTS;
                let at = offset_of!(Settings, cookie_secrets) + self.chosen * size_of::<CookieSecrets>();
                store::<4>(settings, at, bytemuck::must_cast(secrets));
                store_u32(settings, cookies, self.chosen as u32 + 1);
            }
        }
        wait()
    }
}
