//! A server on loopback that answers each query as a script says, by UDP and TCP on one port.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use resolver_user::wire::{Message, Question, RCode};

use crate::client::{receive_tcp, send_tcp};
use crate::message::TestRecord;

/// A query as the server saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its bytes.
    pub packet: Vec<u8>,
    /// The same, read.
    pub message: Message,
    /// Its question.
    pub question: Question,
    /// Whether it came by TCP.
    pub tcp: bool,
    /// Who sent it.
    pub client: SocketAddr,
}

/// A reply under construction.
#[derive(Clone, Debug)]
pub struct Reply {
    /// RCODE: 0..=15.
    pub rcode: RCode,
    /// TC.
    pub truncated: bool,
    /// Answer section.
    pub answer: Vec<TestRecord>,
    /// Authority section.
    pub authority: Vec<TestRecord>,
    /// Whether there is an OPT.
    pub edns: bool,
}

impl Default for Reply {
    fn default() -> Self {
        Self { rcode: RCode::NOERROR, truncated: false, answer: Vec::new(), authority: Vec::new(), edns: true }
    }
}

impl Reply {
    /// A reply with these answers.
    pub fn answer(answer: Vec<TestRecord>) -> Self {
        Self { answer, ..Self::default() }
    }

    /// An error.
    pub fn error(rcode: RCode) -> Self {
        Self { rcode, ..Self::default() }
    }

    /// The reply to a query in wire form, by UDP cut to 1232 bytes' worth with TC.
    ///
    /// # Panics
    /// On more records than a message holds.
    pub fn wire(&self, asked: &Asked) -> Vec<u8> {
        let records: Vec<u8> = self.answer.iter().chain(&self.authority).flat_map(TestRecord::wire).collect();
        let question_end = 12 + asked.question.qname.wire().len() + 4;
        let truncated = self.truncated || !asked.tcp && question_end + records.len() + 11 > 1232;
        let mut wire = asked.packet.get(..question_end).expect("a whole question").to_vec();
        let header = [
            0x80 | asked.packet.get(2).copied().unwrap_or(0) | u8::from(truncated) << 1,
            0x80 | u8::try_from(self.rcode.0 & 15).expect("four bits"),
        ];
        wire.splice(2..4, header);
        let count = |records: &[TestRecord]| u16::try_from(records.len()).expect("few records").to_be_bytes();
        let counts = if truncated { [[0; 2]; 2] } else { [count(&self.answer), count(&self.authority)] };
        wire.splice(6..12, [counts.concat(), vec![0, u8::from(self.edns)]].concat());
        if !truncated {
            wire.extend(records);
        }
        if self.edns {
            wire.extend([0, 0, 41, 4, 208, 0, 0, 128, 0, 0, 0]);
        }
        wire
    }
}

/// What a server does with a query: the packets it sends back, none to keep silent. It runs in a thread of its own for
/// each query, so it may block.
pub type Script = dyn Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync;

/// A running server. Its threads live as long as the test process.
#[derive(Clone)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Upstream {
    /// A server that sends the packets of `script`.
    ///
    /// # Panics
    /// If loopback has no port for it.
    pub fn scripted(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::serving((0..100).find_map(|_| bind_both()).expect("a free port"), script)
    }

    /// A server at an address of our own that answers each question with one reply.
    ///
    /// # Panics
    /// If the address cannot be had.
    pub fn replying_at(address: SocketAddr, reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let sockets = UdpSocket::bind(address).and_then(|udp| Ok((udp, TcpListener::bind(address)?)));
        let sockets = sockets.unwrap_or_else(|error| panic!("{address}: {error}"));
        Self::serving(sockets, move |asked| vec![reply(asked).wire(asked)])
    }

    fn serving(
        (udp, tcp): (UdpSocket, TcpListener),
        script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let address = udp.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let this = Self { address, seen };
        let (udp_this, udp_script) = (this.clone(), Arc::clone(&script));
        thread::spawn(move || udp_this.serve_udp(&Arc::new(udp), &udp_script));
        let tcp_this = this.clone();
        thread::spawn(move || tcp_this.serve_tcp(&tcp, &script));
        this
    }

    /// A server that answers each question with one reply.
    pub fn replying(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::scripted(move |asked| vec![reply(asked).wire(asked)])
    }

    /// All queries so far.
    ///
    /// # Panics
    /// If a thread of the server panicked.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// The option `server=` for it and the names of a domain, which is written as between the slashes.
    pub fn option_for(&self, domain: &str) -> String {
        format!("--server=/{domain}/{}#{}", self.address.ip(), self.address.port())
    }

    /// The option `server=` for it.
    pub fn option(&self) -> String {
        format!("--server={}#{}", self.address.ip(), self.address.port())
    }

    fn serve_udp(&self, socket: &Arc<UdpSocket>, script: &Arc<Script>) {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let Some(asked) = self.note(&buffer[..length], client, false) else { continue };
            let (socket, script) = (Arc::clone(socket), Arc::clone(script));
            thread::spawn(move || {
                for packet in script(&asked) {
                    // The daemon may have stopped waiting.
                    let _gone = socket.send_to(&packet, client);
                }
            });
        }
    }

    fn serve_tcp(&self, listener: &TcpListener, script: &Arc<Script>) {
        while let Ok((mut stream, client)) = listener.accept() {
            let (this, script) = (self.clone(), Arc::clone(script));
            thread::spawn(move || this.serve_connection(&mut stream, client, &script));
        }
    }

    fn serve_connection(&self, stream: &mut TcpStream, client: SocketAddr, script: &Arc<Script>) {
        let packet = receive_tcp(stream);
        let Some(asked) = self.note(&packet, client, true) else { return };
        for packet in script(&asked) {
            send_tcp(stream, &packet);
        }
    }

    fn note(&self, packet: &[u8], client: SocketAddr, tcp: bool) -> Option<Asked> {
        let message = Message::read(packet).ok()?;
        let (question, _) = message.question.clone()?;
        let asked = Asked { packet: packet.to_vec(), message, question, tcp, client };
        self.seen.lock().ok()?.push(asked.clone());
        Some(asked)
    }
}

fn bind_both() -> Option<(UdpSocket, TcpListener)> {
    let tcp = TcpListener::bind("127.0.0.1:0").ok()?;
    let udp = UdpSocket::bind(tcp.local_addr().ok()?).ok()?;
    Some((udp, tcp))
}
