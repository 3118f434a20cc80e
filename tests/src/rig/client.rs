//! A client that asks many questions once, to fill a cache, and wants each of them answered and proven.
//!
//! In: questions. Out: how many came back proven. By UDP, many at a time, each again if its answer does not come.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use resolver_user::wire::{Message, RCode, RecordType};

use crate::message::TestQuery;

/// A question that was not answered as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotProven {
    /// Name and type.
    pub question: String,
    /// What came: nothing, or the RCODE and whether AD was set.
    pub came: Option<(RCode, bool)>,
}

/// Asks a server all questions, from a socket of this thread's namespace.
///
/// # Errors
/// The first question that came back without NOERROR or without AD, or not at all after several tries.
///
/// # Panics
/// When there are no sockets.
pub fn ask_all(server: SocketAddr, questions: &[(String, RecordType)]) -> Result<(), NotProven> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
    socket.connect(server).expect("a way to the server");
    for part in questions.chunks(AT_A_TIME) {
        let mut open: HashMap<u16, &(String, RecordType)> = (1..).zip(part).collect();
        for wait in TRIES {
            socket.set_read_timeout(Some(wait)).expect("a time limit");
            ask_some(&socket, &mut open)?;
            if open.is_empty() {
                break;
            }
        }
        if let Some((name, rtype)) = open.into_values().next() {
            return Err(NotProven { question: format!("{name} {rtype}"), came: None });
        }
    }
    Ok(())
}

/// Asks the open questions, and closes those that are answered until nothing more comes.
fn ask_some(socket: &UdpSocket, open: &mut HashMap<u16, &(String, RecordType)>) -> Result<(), NotProven> {
    for (&id, (name, rtype)) in open.iter() {
        let query = TestQuery { authentic_data: true, ..TestQuery::new(name, *rtype).id(id).edns(1232, false) };
        // What is not sent is not answered, and so asked again. A server that is not there yet says so here.
        let _lost = socket.send(&query.wire());
    }
    let mut packet = [0; 4096];
    while !open.is_empty()
        && let Ok(length) = socket.recv(&mut packet)
    {
        let Ok(message) = Message::read(&packet[..length]) else { continue };
        let header = message.header;
        let Some((name, rtype)) = open.remove(&header.id) else { continue };
        let came = (RCode(u16::from(header.rcode)), header.flags.authentic_data);
        if came != (RCode::NOERROR, true) {
            return Err(NotProven { question: format!("{name} {rtype}"), came: Some(came) });
        }
    }
    Ok(())
}

/// Questions that wait for their answers at once: fewer than any peer limits.
const AT_A_TIME: usize = 100;
/// How long each try waits.
const TRIES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
