//! Listens where the configuration says, and follows the machine's addresses while it runs.
//!
//! Whenever an address or an interface comes or goes, or the configuration changes, one look puts everything right, in an
//! order in which no query is lost and none is answered for an address that is not ours:
//!
//! 1. what XDP may answer by VLAN tags, and the interfaces that it is on: see [`crate::publish`];
//! 2. XDP's endpoints that went: it answers for no address that nobody carries. Their sockets are still there;
//! 3. who may ask, in the daemon and then in the kernel half: a new network is known before it can ask;
//! 4. sockets of new addresses: before XDP passes queries to them;
//! 5. XDP's endpoints that came;
//! 6. sockets of addresses that went. What they hold is still answered.
//!
//! With `bind-interfaces` steps 4 and 6 are left out, but for a new configuration. Sockets that the service manager gave us
//! stay until the end: nobody else can open them again.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::DaemonError;
use super::fast_path::xdp_interfaces;
use crate::access::AccessList;
use crate::config::{Config, LocalService};
use crate::listener::{
    AddressChanges, Listen, ListenError, Machine, Shared, TcpSocket, UdpSocket, UdpThreads, adopt_tcp, adopt_udp,
    bind_tcp, bind_udp, serve_tcp,
};
use crate::process::Inherited;
use crate::publish::Publisher;
use crate::resolve::Resolver;

/// How often to look while something that is wanted is missing, or if the system does not tell of changes.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Everything bound, before anybody is answered.
pub(super) struct Bound {
    /// Where the operator wants us to listen.
    pub listen: Listen,
    /// The machine as it was found.
    pub machine: Machine,
    /// Who may ask.
    pub access: AccessList,
    sockets: BTreeMap<SocketAddr, Sockets>,
    /// Those that the service manager gave us, sorted.
    given: Vec<SocketAddr>,
    complaints: Complaints,
}

/// The sockets of one address.
struct Sockets {
    tcp: TcpSocket,
    /// One for each thread.
    udp: Vec<UdpSocket>,
}

/// The listeners at work.
pub(super) struct Listening {
    shared: Arc<Shared<Resolver>>,
    udp_threads: UdpThreads,
    publisher: Option<Arc<Publisher>>,
    /// What is listened on now, sorted.
    addresses: ArcSwap<Vec<SocketAddr>>,
    /// Rung when a reload could not put everything right, which is then tried again.
    left_undone: Notify,
    state: Mutex<State>,
}

/// What a look compares with.
struct State {
    config: Config,
    listeners: BTreeMap<SocketAddr, Listener>,
    /// Addresses of sockets that the service manager gave us, sorted.
    given: Vec<SocketAddr>,
    /// XDP's endpoints.
    endpoints: Vec<SocketAddr>,
    /// Whether XDP has the endpoints and the access list that it should have.
    kernel_is_right: bool,
    complaints: Complaints,
}

/// The tasks of one address.
struct Listener {
    /// Ends them.
    closing: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// What was complained of, so that it is not told each second.
#[derive(Default)]
struct Complaints(Vec<String>);

/// Longest wait at the start for an IPv6 address that the kernel still checks for doubles (RFC 4862 §5.4): one probe, a second
/// after it, and some more for a busy machine. dnsmasq waits, too.
const TENTATIVE_MAX: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile.
const TENTATIVE_PERIOD: Duration = Duration::from_millis(50);

fn is_no_address_yet<T>(opened: &Result<T, ListenError>) -> bool {
    opened.as_ref().is_err_and(ListenError::is_no_address_yet)
}

impl Bound {
    /// Binds what the configuration wants and the machine has.
    ///
    /// # Errors
    /// A socket cannot be had, or one of the service manager's has no address of its own; with `bind-interfaces` also if an
    /// address or interface is missing, which else is waited for.
    pub fn new(config: &Config, inherited: &Inherited) -> Result<Self, DaemonError> {
        let given = inherited.addresses();
        if let Some(address) = given.iter().find(|address| address.ip().is_unspecified()) {
            let what = format!("the socket for {address} has no address of its own; name addresses in the socket unit");
            return Err(DaemonError::Inherited { source: io::Error::new(io::ErrorKind::AddrNotAvailable, what) });
        }
        let machine = Machine::look()?;
        let listen = listen(config);
        if config.listening.bind_interfaces {
            listen.demand(&machine)?;
        }
        let (mut sockets, mut complaints) = (BTreeMap::new(), Complaints::default());
        for address in wanted(&listen, &machine, &given) {
            let mut opened = Sockets::open(address, config.process.threads, inherited);
            let tentative = config.listening.bind_interfaces && address.is_ipv6() && machine.carries(address.ip());
            let asked_at = Instant::now();
            // Bound: by time. An address that the kernel still looks for on the network cannot be bound yet.
            while tentative && asked_at.elapsed() < TENTATIVE_MAX && is_no_address_yet(&opened) {
                std::thread::sleep(TENTATIVE_PERIOD);
                opened = Sockets::open(address, config.process.threads, inherited);
            }
            match opened {
                Ok(bound) => drop(sockets.insert(address, bound)),
                Err(error) if error.is_no_address_yet() && !config.listening.bind_interfaces => {
                    complaints.add(format!("{address} is not there yet; it is waited for"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        complaints.add_missing(&listen, &machine, config);
        let access = AccessList::new(config, &machine.networks());
        Ok(Self { listen, machine, access, sockets, given, complaints })
    }

    /// The addresses that are bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.keys().copied().collect()
    }

    /// The endpoints that XDP may answer for.
    pub fn endpoints(&self) -> Vec<SocketAddr> {
        endpoints(self.sockets.keys(), &wanted(&self.listen, &self.machine, &self.given), &self.machine)
    }
}

impl Sockets {
    /// Takes the service manager's, or binds new ones.
    fn open(address: SocketAddr, threads: usize, inherited: &Inherited) -> Result<Self, ListenError> {
        // TCP first: it fails where another daemon listens, whose UDP clients we would share (SO_REUSEPORT) without an error.
        let tcp = inherited.take_tcp(address).map_or_else(|| bind_tcp(address), adopt_tcp)?;
        let given = inherited.take_udp(address);
        let udp = || given.as_ref().map_or_else(|| bind_udp(address), adopt_udp);
        let udp = std::iter::repeat_with(udp).take(threads).collect::<Result<_, _>>()?;
        Ok(Self { tcp, udp })
    }

    /// Starts to serve.
    fn serve(self, shared: &Arc<Shared<Resolver>>, threads: &UdpThreads) -> Listener {
        let closing = shared.stop.child_token();
        let udp = |(number, socket)| shared.tracker.spawn(threads.serve(number, socket, closing.clone()));
        let mut tasks: Vec<_> = self.udp.into_iter().enumerate().map(udp).collect();
        tasks.push(shared.tracker.spawn(serve_tcp(self.tcp, Arc::clone(shared), closing.clone())));
        Listener { closing, tasks }
    }
}

impl Listening {
    /// Starts to answer on what is bound. The kernel half was started with the same endpoints and access list.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        bound: Bound,
        config: Config,
        shared: Arc<Shared<Resolver>>,
        publisher: Option<Arc<Publisher>>,
    ) -> Result<Self, DaemonError> {
        let (addresses, endpoints) = (bound.addresses(), bound.endpoints());
        let udp_threads = UdpThreads::start(config.process.threads, &shared);
        let udp_threads = udp_threads.map_err(|source| DaemonError::Runtime { source })?;
        let serve = |(address, sockets): (_, Sockets)| (address, sockets.serve(&shared, &udp_threads));
        let listeners = bound.sockets.into_iter().map(serve).collect();
        let state = State {
            config,
            listeners,
            given: bound.given,
            endpoints,
            kernel_is_right: true,
            complaints: bound.complaints,
        };
        Ok(Self {
            shared,
            udp_threads,
            publisher,
            addresses: ArcSwap::from_pointee(addresses),
            left_undone: Notify::new(),
            state: Mutex::new(state),
        })
    }

    /// What is listened on now, sorted.
    pub fn addresses(&self) -> Arc<Vec<SocketAddr>> {
        self.addresses.load_full()
    }

    /// Looks again whenever the machine's addresses change, until the daemon stops.
    pub async fn follow(self: Arc<Self>) {
        let changes = AddressChanges::open();
        if let Err(error) = &changes {
            warn!(%error, "the system does not tell of new addresses; they are looked for each second");
        }
        // What changed between the start and here has rung no bell.
        let mut is_settled = self.look().await && changes.is_ok();
        loop {
            let rung = async {
                match &changes {
                    Ok(changes) => changes.rung().await,
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.shared.stop.cancelled() => return,
                () = rung => {}
                () = self.left_undone.notified() => {}
                () = tokio::time::sleep(LOOK_PERIOD), if !is_settled => {}
            }
            is_settled = self.look().await && changes.is_ok();
        }
    }

    /// Puts a new configuration in force: where to listen and who may ask. When this returns, nobody is answered any more
    /// who is not allowed.
    pub async fn reload(&self, config: Config) {
        let mut state = self.state.lock().await;
        state.config = config;
        state.complaints = Complaints::default();
        if !self.put_right(&mut state, true).await {
            self.left_undone.notify_one();
        }
    }

    /// Looks at the machine and puts right what has changed. False if something that is wanted is missing.
    async fn look(&self) -> bool {
        let mut state = self.state.lock().await;
        let follows = !state.config.listening.bind_interfaces;
        self.put_right(&mut state, follows).await
    }

    async fn put_right(&self, state: &mut State, sockets_too: bool) -> bool {
        let machine = match Machine::look() {
            Ok(machine) => machine,
            Err(error) => {
                warn!(%error, "addresses are not followed");
                return false;
            }
        };
        let listen = listen(&state.config);
        let is_attached = self.set_interfaces(xdp_interfaces(&state.config, &listen, &machine));
        let wanted = wanted(&listen, &machine, &state.given);
        let stays = |address: &&SocketAddr| machine.carries(address.ip()) && wanted.binary_search(address).is_ok();
        let staying: Vec<SocketAddr> = state.endpoints.iter().filter(stays).copied().collect();
        state.kernel_is_right &= self.set_endpoints(state, staying);
        let is_access_right =
            self.set_access(AccessList::new(&state.config, &machine.networks()), state.kernel_is_right);
        let is_all_there = !sockets_too || self.open(state, &listen, &machine, &wanted);
        let endpoints = endpoints(state.listeners.keys(), &wanted, &machine);
        state.kernel_is_right = self.set_endpoints(state, endpoints) && is_access_right;
        if sockets_too {
            close(state, &wanted).await;
        }
        self.addresses.store(Arc::new(state.listeners.keys().copied().collect()));
        is_all_there && state.kernel_is_right && is_attached
    }

    /// Puts XDP on these interfaces. False if somebody else may make room there without a word.
    fn set_interfaces(&self, interfaces: Vec<String>) -> bool {
        let Some(publisher) = &self.publisher else { return true };
        tokio::task::block_in_place(|| publisher.set_interfaces(&interfaces))
    }

    /// Changes XDP's endpoints. False if the kernel half does not have them.
    fn set_endpoints(&self, state: &mut State, endpoints: Vec<SocketAddr>) -> bool {
        if endpoints == state.endpoints && state.kernel_is_right {
            return true;
        }
        state.endpoints = endpoints;
        self.order(|publisher| publisher.set_endpoints(&state.endpoints))
    }

    /// Replaces the list of who may ask. False if the kernel half does not have it.
    fn set_access(&self, list: AccessList, kernel_is_right: bool) -> bool {
        if **self.shared.access.load() == list && kernel_is_right {
            return true;
        }
        info!(networks = list.networks().count(), "who may ask has changed");
        self.shared.access.store(Arc::new(list.clone()));
        self.order(|publisher| publisher.set_access(&list))
    }

    /// Listens on what is wanted and not listened on yet. False if something is missing.
    fn open(&self, state: &mut State, listen: &Listen, machine: &Machine, wanted: &[SocketAddr]) -> bool {
        let mut is_all_there = true;
        for &address in wanted {
            if state.listeners.contains_key(&address) {
                continue;
            }
            match Sockets::open(address, state.config.process.threads, &Inherited::default()) {
                Ok(sockets) => {
                    state.listeners.insert(address, sockets.serve(&self.shared, &self.udp_threads));
                    info!(%address, "listening");
                }
                Err(error) => {
                    is_all_there = false;
                    state.complaints.add(error.to_string());
                }
            }
        }
        state.complaints.add_missing(listen, machine, &state.config);
        is_all_there
    }

    /// Has the publishing thread do something, and waits for it, while other tasks go on elsewhere.
    fn order(&self, order: impl FnOnce(&Publisher) -> bool) -> bool {
        let Some(publisher) = &self.publisher else { return true };
        let is_done = tokio::task::block_in_place(|| order(publisher));
        if !is_done {
            error!("XDP did not follow a change of addresses or clients; it is tried again");
        }
        is_done
    }
}

impl Complaints {
    /// Tells what is missing, once.
    fn add(&mut self, complaint: String) {
        if !self.0.contains(&complaint) {
            warn!("{complaint}");
            self.0.push(complaint);
        }
    }

    /// Tells which interfaces have no address.
    fn add_missing(&mut self, listen: &Listen, machine: &Machine, config: &Config) {
        let what_then =
            if config.listening.bind_interfaces { "bind-interfaces waits for nothing" } else { "it is waited for" };
        for interface in listen.missing(machine) {
            self.add(format!("interface {interface} does not exist or has no address yet; {what_then}"));
        }
    }
}

/// Ends the listeners of addresses that are not wanted any more, and waits until their sockets are closed: the address may
/// come back at once.
async fn close(state: &mut State, wanted: &[SocketAddr]) {
    let gone = state.listeners.extract_if(.., |address, _| wanted.binary_search(address).is_err());
    for (address, listener) in gone.collect::<Vec<_>>() {
        listener.closing.cancel();
        for task in listener.tasks {
            if let Err(error) = task.await {
                error!(%address, %error, "a listener failed");
            }
        }
        info!(%address, "no longer listening");
    }
}

/// Where a configuration wants us to listen.
fn listen(config: &Config) -> Listen {
    let listening = &config.listening;
    Listen {
        addresses: listening.addresses.clone(),
        interfaces: listening.interfaces.clone(),
        except: listening.except.clone(),
        loopback_only: listening.local_service == Some(LocalService::Host),
        port: listening.port,
    }
}

/// What is to be listened on. If the service manager gave us sockets and the configuration names no address and no interface,
/// these are all; otherwise they come on top.
fn wanted(listen: &Listen, machine: &Machine, given: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_told_where = !(listen.addresses.is_empty() && listen.interfaces.is_empty());
    let mut wanted = if given.is_empty() || is_told_where { listen.wanted(machine) } else { Vec::new() };
    wanted.extend(given);
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// What XDP may answer for: bound, wanted, and carried by an interface at this moment.
fn endpoints<'a>(
    bound: impl Iterator<Item = &'a SocketAddr>,
    wanted: &[SocketAddr],
    machine: &Machine,
) -> Vec<SocketAddr> {
    let is_ours = |address: &&SocketAddr| machine.carries(address.ip()) && wanted.binary_search(address).is_ok();
    bound.filter(is_ours).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener};

    use tokio::net::UdpSocket;
    use tokio::time::timeout;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::clock::SystemClock;
    use crate::cookies::CookieDoor;
    use crate::metrics::Metrics;
    use crate::rate_limit::RateLimiter;
    use crate::upstream::{Network, Outside};

    /// A configuration that listens on these addresses, one thread each.
    fn config(port: u16, addresses: &[[u8; 4]]) -> Config {
        let mut config = Config::default();
        config.process.threads = 1;
        config.listening.port = port;
        config.listening.addresses = addresses.iter().map(|address| IpAddr::from(*address)).collect();
        config
    }

    fn start(config: &Config) -> Arc<Listening> {
        let metrics = Arc::new(Metrics::default());
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let outside = Outside { transport: Arc::new(Network::default()), clock: Arc::new(SystemClock) };
        let owned = (Arc::clone(&metrics), tracker.clone());
        let resolver = Arc::new(super::super::assemble(config, &[], None, None, owned, outside).unwrap());
        let bound = Bound::new(config, &Inherited::default()).unwrap();
        let limiter = Arc::new(RateLimiter::new(None, Arc::new(SystemClock)));
        limiter.configure(config);
        let door = CookieDoor::new(None, Arc::new(SystemClock));
        let shared = Arc::new(Shared::new(resolver, metrics, bound.access.clone(), limiter, door, tracker, stop));
        Arc::new(Listening::start(bound, config.clone(), shared, None).unwrap())
    }

    /// RCODE of the reply to a query that no server is needed for: recursion is not desired. None: no reply.
    async fn ask(server: SocketAddr) -> Option<u8> {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(server).await.unwrap();
        client.send(b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x01x\0\0\x01\0\x01").await.unwrap();
        let mut reply = [0; 512];
        let received =
            timeout(Duration::from_secs(5), client.recv(&mut reply)).await.expect("a reply or an ICMP error");
        received.ok().map(|_| reply[3] & 15)
    }

    /// A port that is free on all addresses of loopback, or was a moment ago.
    fn free_port() -> u16 {
        TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
    }

    const REFUSED: u8 = 5;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_reload_moves_the_listeners_and_keeps_those_that_stay() {
        let port = free_port();
        let [one, two, three] = [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]];
        let listening = start(&config(port, &[one, two]));
        let at = |address: [u8; 4]| SocketAddr::from((address, port));
        assert_eq!(
            (ask(at(one)).await, ask(at(two)).await, ask(at(three)).await),
            (Some(REFUSED), Some(REFUSED), None)
        );
        for (addresses, gone) in [([two, three], one), ([one, two], three), ([two, three], one)] {
            listening.reload(config(port, &addresses)).await;
            assert_eq!(**listening.addresses(), addresses.map(at));
            for address in addresses {
                assert_eq!(ask(at(address)).await, Some(REFUSED));
                TcpListener::bind(at(address)).expect_err("the TCP socket is ours");
            }
            assert_eq!(ask(at(gone)).await, None);
            TcpListener::bind(at(gone)).expect("both sockets are closed when the reload is done");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_reload_replaces_who_may_ask_at_once() {
        let port = free_port();
        let mut config = config(port, &[[127, 0, 0, 1]]);
        let listening = start(&config);
        let metrics = &listening.shared.metrics;
        assert_eq!(ask(([127, 0, 0, 1], port).into()).await, Some(REFUSED));
        assert_eq!((metrics.refused_client.value(), metrics.refused_not_cached.value()), (0, 1));
        config.access.denied = vec!["127.0.0.0/8".parse().unwrap()];
        listening.reload(config.clone()).await;
        assert_eq!(ask(([127, 0, 0, 1], port).into()).await, Some(REFUSED));
        assert_eq!((metrics.refused_client.value(), metrics.refused_not_cached.value()), (1, 1));
        config.access.denied.clear();
        listening.reload(config).await;
        assert_eq!(ask(([127, 0, 0, 1], port).into()).await, Some(REFUSED));
        assert_eq!((metrics.refused_client.value(), metrics.refused_not_cached.value()), (1, 2));
    }
}
