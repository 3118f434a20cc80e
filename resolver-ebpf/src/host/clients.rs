//! Access lists that the vectors meet, and what each says about clients at the edges of its networks.
//!
//! The answers are written by hand: they are the second opinion on both look-ups, the host's and the kernel's.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::OwnedStore;
use crate::abi::{CLIENTS_ALL, ClientRule};

/// A list and what it says.
pub struct ClientList {
    /// Number of the list in the maps. They differ in one byte each, so that no byte of it goes unread.
    pub generation: u32,
    /// IPv4 networks: address, length in bits, whether its clients are answered.
    pub networks_v4: &'static [(Ipv4Addr, u32, bool)],
    /// IPv6 networks.
    pub networks_v6: &'static [(Ipv6Addr, u32, bool)],
    /// IPv4 clients, and whether they are answered.
    pub clients_v4: &'static [(Ipv4Addr, bool)],
    /// IPv6 clients.
    pub clients_v6: &'static [(Ipv6Addr, bool)],
}

/// All lists.
pub const CLIENT_LISTS: &[ClientList] = &[
    // Nobody but some: networks in networks, down to one address.
    ClientList {
        generation: 1,
        networks_v4: &[
            (v4(0, 0, 0, 0), 0, false),
            (v4(198, 51, 100, 0), 24, true),
            (v4(198, 51, 100, 128), 25, false),
            (v4(198, 51, 100, 200), 32, true),
            (v4(10, 32, 0, 0), 11, true),
        ],
        networks_v6: &[
            (v6([0; 8]), 0, false),
            (v6([0x2001, 0xdb8, 0xffee, 0, 0, 0, 0, 0]), 48, true),
            (v6([0x2001, 0xdb8, 0xffee, 2, 0, 0, 0, 0]), 64, false),
            (v6([0x2001, 0xdb8, 0xffee, 2, 0, 0, 0, 7]), 128, true),
            (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0]), 10, true),
        ],
        clients_v4: &[
            (v4(198, 51, 99, 255), false),
            (v4(198, 51, 100, 0), true),
            (v4(198, 51, 100, 127), true),
            (v4(198, 51, 100, 128), false),
            (v4(198, 51, 100, 199), false),
            (v4(198, 51, 100, 200), true),
            (v4(198, 51, 100, 201), false),
            (v4(198, 51, 101, 0), false),
            (v4(10, 31, 255, 255), false),
            (v4(10, 32, 0, 0), true),
            (v4(10, 63, 255, 255), true),
            (v4(10, 64, 0, 0), false),
        ],
        clients_v6: &[
            (v6([0x2001, 0xdb8, 0xffed, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff]), false),
            (v6([0x2001, 0xdb8, 0xffee, 0, 0, 0, 0, 0]), true),
            (v6([0x2001, 0xdb8, 0xffee, 1, 0xffff, 0xffff, 0xffff, 0xffff]), true),
            (v6([0x2001, 0xdb8, 0xffee, 2, 0, 0, 0, 0]), false),
            (v6([0x2001, 0xdb8, 0xffee, 2, 0, 0, 0, 6]), false),
            (v6([0x2001, 0xdb8, 0xffee, 2, 0, 0, 0, 7]), true),
            (v6([0x2001, 0xdb8, 0xffee, 2, 0, 0, 0, 8]), false),
            (v6([0x2001, 0xdb8, 0xffee, 3, 0, 0, 0, 0]), true),
            (v6([0x2001, 0xdb8, 0xffef, 0, 0, 0, 0, 0]), false),
            (v6([0xfe7f, 0xffff, 0, 0, 0, 0, 0, 1]), false),
            (v6([0xfe80, 0, 0, 0, 0, 0, 0, 1]), true),
            (v6([0xfebf, 0xffff, 0, 0, 0, 0, 0, 1]), true),
            (v6([0xfec0, 0, 0, 0, 0, 0, 0, 1]), false),
        ],
    },
    // Everybody but some, at odd lengths.
    ClientList {
        generation: 0x0100,
        networks_v4: &[
            (v4(0, 0, 0, 0), 0, true),
            (v4(203, 0, 113, 8), 29, false),
            (v4(128, 0, 0, 0), 1, false),
            (v4(198, 51, 100, 6), 31, true),
        ],
        networks_v6: &[
            (v6([0; 8]), 0, true),
            (v6([0x2001, 0xdb8, 0xf000, 0, 0, 0, 0, 0]), 37, false),
            (v6([0x2001, 0xdb8, 0xffee, 1, 0, 0xabcd, 0, 6]), 127, false),
        ],
        clients_v4: &[
            (v4(126, 255, 255, 255), true),
            (v4(128, 0, 0, 0), false),
            (v4(198, 51, 100, 5), false),
            (v4(198, 51, 100, 6), true),
            (v4(198, 51, 100, 7), true),
            (v4(198, 51, 100, 8), false),
            (v4(203, 0, 113, 8), false),
            (v4(1, 2, 3, 4), true),
        ],
        clients_v6: &[
            (v6([0x2001, 0xdb8, 0xefff, 0xffff, 0, 0, 0, 1]), true),
            (v6([0x2001, 0xdb8, 0xf000, 0, 0, 0, 0, 1]), false),
            (v6([0x2001, 0xdb8, 0xf7ff, 0xffff, 0, 0, 0, 1]), false),
            (v6([0x2001, 0xdb8, 0xf800, 0, 0, 0, 0, 1]), true),
            (v6([0x2001, 0xdb8, 0xffee, 1, 0, 0xabcd, 0, 5]), true),
            (v6([0x2001, 0xdb8, 0xffee, 1, 0, 0xabcd, 0, 7]), false),
            (v6([0x2001, 0xdb8, 0xffee, 1, 0, 0xabcd, 0, 8]), true),
        ],
    },
    // The same networks as another list says nothing about, and a generation that differs in its highest byte only.
    ClientList {
        generation: 0x0100_0001,
        networks_v4: &[(v4(198, 51, 100, 0), 24, false), (v4(0, 0, 0, 0), 0, true)],
        networks_v6: &[(v6([0x2001, 0xdb8, 0xffee, 0, 0, 0, 0, 0]), 48, false), (v6([0; 8]), 0, true)],
        clients_v4: &[(v4(198, 51, 100, 200), false), (v4(198, 51, 101, 0), true)],
        clients_v6: &[
            (v6([0x2001, 0xdb8, 0xffee, 0, 0, 0, 0, 1]), false),
            (v6([0x2001, 0xdb8, 0xffef, 0, 0, 0, 0, 1]), true),
        ],
    },
    // No list at all: doubt, so nobody is answered.
    ClientList {
        generation: u32::MAX,
        networks_v4: &[],
        networks_v6: &[],
        clients_v4: &[(v4(198, 51, 100, 7), false)],
        clients_v6: &[(v6([0x2001, 0xdb8, 0xffee, 1, 0, 0, 0, 7]), false)],
    },
];

/// List, IPv4 and IPv6 client, and whether rate limits leave them alone. The networks stand in [`add_lists`].
pub const EXEMPT_CLIENTS: &[(u32, Ipv4Addr, Ipv6Addr, bool)] = &[
    (EXEMPT_LIST, v4(198, 51, 100, 7), v6([0x2001, 0xdb8, 0xffee, 1, 0, 0, 0, 7]), true),
    (EXEMPT_LIST, v4(198, 51, 101, 7), v6([0x2001, 0xdb8, 0xffef, 1, 0, 0, 0, 7]), false),
    // Limited again inside.
    (EXEMPT_LIST, v4(198, 51, 100, 9), v6([0x2001, 0xdb8, 0xffee, 2, 0, 0, 0, 9]), false),
    // A list that says nothing of limits.
    (0x0100, v4(1, 2, 3, 4), v6([0x2001, 0xdb8, 0xefff, 0xffff, 0, 0, 0, 1]), false),
    (CLIENTS_ALL, v4(198, 51, 100, 7), v6([0x2001, 0xdb8, 0xffee, 1, 0, 0, 0, 7]), false),
];

/// Generation of the list with exempt clients.
const EXEMPT_LIST: u32 = 0x0002_0000;

/// Adds every list to a store.
pub fn add_lists(store: &mut OwnedStore) {
    for (last, len, limited) in [([0; 4], 0, 1), ([198, 51, 100, 0], 24, 0), ([198, 51, 100, 9], 32, 1)] {
        store.add_client_v4(EXEMPT_LIST, last, len, ClientRule { allowed: 1, limited });
    }
    for (groups, len, limited) in [([0; 3], 0, 1), ([0xdb8, 0xffee, 0], 48, 0), ([0xdb8, 0xffee, 2], 64, 1)] {
        let [second, third, fourth] = groups;
        let first = if len == 0 { 0 } else { 0x2001 };
        let address = v6([first, second, third, fourth, 0, 0, 0, 0]).octets();
        store.add_client_v6(EXEMPT_LIST, address, len, ClientRule { allowed: 1, limited });
    }
    for list in CLIENT_LISTS {
        for (address, len, allowed) in list.networks_v4 {
            store.add_client_v4(list.generation, address.octets(), *len, rule(*allowed));
        }
        for (address, len, allowed) in list.networks_v6 {
            store.add_client_v6(list.generation, address.octets(), *len, rule(*allowed));
        }
    }
}

/// The rule of a list that says nothing of limits.
fn rule(allowed: bool) -> ClientRule {
    ClientRule { allowed: allowed.into(), limited: 1 }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(groups: [u16; 8]) -> Ipv6Addr {
    let [a, b, c, d, e, f, g, h] = groups;
    Ipv6Addr::new(a, b, c, d, e, f, g, h)
}
