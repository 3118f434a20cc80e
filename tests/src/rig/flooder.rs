//! Packets that a thread of this CPU sends beside whatever else runs here, with what both cost.
//!
//! In: frames, an interface, and how many frames a second. Out: how many were sent, and the CPU time of the thread that sent them.
//! A packet from a socket goes all its way, through the other end of the pair and up to the socket of whoever gets it, in the call that
//! sends it, and so in the CPU time of who calls: softirqs run on the thread that raises them, unless they get so many that the
//! kernel's own thread takes over, whose time [`softirq_thread_s`] tells.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, sendto, socket};
use nix::time::{ClockId, clock_gettime};

/// A thread that sends frames at a pace, a few each millisecond. It is on the CPU and in the namespace of whoever starts it.
#[derive(Debug)]
pub struct Flooder {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Flooded>,
}

/// What it did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flooded {
    /// Frames sent.
    pub sent: u64,
    /// CPU time of the thread, in seconds.
    pub cpu_s: f64,
}

impl Flooder {
    /// Begins to send frames over an interface, each once, until they are all sent or it is ended.
    ///
    /// # Panics
    /// When there is no such interface, or no packet socket for us.
    pub fn start(frames: Vec<Vec<u8>>, per_s: u32, interface: &str) -> Self {
        let no_packets_come_in: Option<SockProtocol> = None;
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, no_packets_come_in);
        let (socket, out) = (socket.expect("a packet socket (needs root)"), link(interface));
        let is_over = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || flood(&socket, out, &frames, per_s, &of_thread));
        Self { is_over, thread }
    }

    /// Ends it.
    ///
    /// # Panics
    /// If a frame could not be sent.
    pub fn end(self) -> Flooded {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("every frame was sent")
    }
}

/// Sends frames until told to stop. Turns that come late are not made up for.
fn flood(socket: &OwnedFd, out: LinkAddr, frames: &[Vec<u8>], per_s: u32, is_over: &AtomicBool) -> Flooded {
    let mut sent = 0;
    for burst in frames.chunks((per_s / TURNS_PER_S).max(1) as usize) {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let next = Instant::now() + Duration::from_secs(1) / TURNS_PER_S;
        for frame in burst {
            sendto(socket.as_raw_fd(), frame, &out, MsgFlags::empty()).expect("the frame is sent");
            sent += 1;
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Flooded { sent, cpu_s: thread_cpu_s() }
}

/// CPU time of this thread so far, in seconds.
///
/// # Panics
/// Without such a clock.
pub fn thread_cpu_s() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the clock");
    Duration::from(time).as_secs_f64()
}

/// CPU time so far of the kernel's thread that runs softirqs of a CPU where nobody else gets to them, in seconds.
///
/// # Panics
/// Where there is none.
pub fn softirq_thread_s(cpu: usize) -> f64 {
    let name = format!("ksoftirqd/{cpu}");
    let processes = fs::read_dir("/proc").expect("processes").flatten().map(|process| process.path());
    let thread = processes
        .into_iter()
        .find(|process| fs::read_to_string(process.join("comm")).is_ok_and(|said| said.trim_end() == name));
    let said = fs::read_to_string(thread.expect("the kernel's thread").join("schedstat")).expect("its times");
    let ns: u64 = said.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("a number");
    Duration::from_nanos(ns).as_secs_f64()
}

/// The link address of an interface.
fn link(interface: &str) -> LinkAddr {
    let addresses = nix::ifaddrs::getifaddrs().expect("interfaces").filter(|at| at.interface_name == interface);
    let mut links = addresses.filter_map(|at| at.address?.as_link_addr().copied());
    links.next().expect("the interface")
}

/// Turns of the thread in a second.
const TURNS_PER_S: u32 = 1000;
