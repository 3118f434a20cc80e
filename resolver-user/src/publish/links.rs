//! The names of pinned links: which interface each is attached to, and how.
//!
//! A link knows its interface by number, and so does its pin: names of interfaces change, and are given to others. The name is
//! there for people; BPF file systems allow no dots in it.

use aya::programs::links::PinnedLink;

use super::pins::PinDir;
use super::program::FastPathError;

/// A pinned link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPin {
    /// Name of the pin.
    pub name: String,
    /// Number of the interface.
    pub index: u32,
    /// `native` or `generic`.
    pub mode: &'static str,
}

impl LinkPin {
    /// The pin of a link to the interface of this name and number.
    pub fn new(interface: &str, index: u32, mode: &'static str) -> Self {
        let shown = interface.replace('.', "_");
        Self { name: format!("{shown}-{index}-{mode}"), index, mode }
    }

    /// Reads the name of a pin; none if it is not one of ours.
    fn read(name: &str) -> Option<Self> {
        let mut parts = name.rsplitn(3, '-');
        let mode = match parts.next()? {
            "native" => "native",
            "generic" => "generic",
            _ => return None,
        };
        let index = parts.next()?.parse().ok()?;
        parts.next().map(|_| Self { name: name.to_owned(), index, mode })
    }
}

/// Takes the program off by a pinned link. Held while its pin goes: the kernel takes a program off at once when a descriptor was
/// the last to hold the link, but some time after an unlinking was; meanwhile nothing else could be attached there.
///
/// # Errors
/// [`FastPathError::PinDir`].
pub fn detach(pins: &PinDir, name: &str) -> Result<(), FastPathError> {
    // One that cannot be opened goes all the same.
    let held = PinnedLink::from_pin(pins.at("links", name));
    let unpinned = pins.unpin("links", name);
    drop(held);
    unpinned
}

/// All pinned links. What else lies in their folder is removed: no daemon knows what it is on.
///
/// # Errors
/// [`FastPathError::PinDir`].
pub fn pinned(pins: &PinDir) -> Result<Vec<LinkPin>, FastPathError> {
    let mut links = Vec::new();
    for name in pins.names("links")? {
        match LinkPin::read(&name) {
            Some(link) => links.push(link),
            None => detach(pins, &name)?,
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_whatever_the_interface_is_called() {
        for (interface, name) in
            [("eth0", "eth0-3-native"), ("eth0.10", "eth0_10-3-native"), ("a-b-7-x", "a-b-7-x-3-native")]
        {
            let pin = LinkPin::new(interface, 3, "native");
            assert_eq!(pin.name, name);
            assert_eq!(LinkPin::read(name), Some(pin));
        }
        for foreign in ["eth0", "eth0-native", "eth0-x-native", "eth0-3-hardware", "3-generic", ""] {
            assert_eq!(LinkPin::read(foreign), None, "{foreign}");
        }
    }
}
