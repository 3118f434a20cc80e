//! The smallest HTTP/1.1 server that a scraper needs: one GET or HEAD a connection, bounded in size, time and number.
//!
//! Choice: written here instead of taken from a crate. It reads one head, ignores all of it but the request line and
//! `Accept`, answers and closes: there is no body, no second request and no upgrade that could be got wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Family, Format, text};
use crate::metrics::Metrics;

/// Longest head of a request, in bytes. Prometheus sends about 400.
const HEAD_LEN_MAX: usize = 8192;
/// Longest time of one connection, from its start to its end.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(5);
/// Most connections at once; further ones wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 8;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 32;
/// Pause after a failed accept, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for the client to close after the answer.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// Most bytes that are read and thrown away after the answer, so that it is not lost to a reset.
const LEFT_OVER_LEN_MAX: u64 = 65_536;

/// Why metrics cannot be served.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The system did not give us the socket.
    #[error("cannot serve metrics on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// The bound socket.
#[derive(Debug)]
pub struct MetricsSocket(TcpListener);

/// Binds the socket for scrapers.
///
/// # Errors
/// The system's reason.
pub fn bind_metrics(address: SocketAddr) -> Result<MetricsSocket, ExportError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().map(MetricsSocket).map_err(|source| ExportError::Bind { address, source })
}

/// Serves scrapers until the daemon stops. `observe` says what there is to see.
pub async fn serve_metrics(
    socket: MetricsSocket,
    observe: Arc<dyn Fn() -> Vec<Family> + Send + Sync>,
    metrics: Arc<Metrics>,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&socket.0, &connections) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (observe, metrics, stop) = (Arc::clone(&observe), Arc::clone(&metrics), stop.clone());
        tracker.spawn(async move {
            let served = tokio::select! {
                () = stop.cancelled() => return,
                served = timeout(CONNECTION_TIME_MAX, converse(stream, &*observe)) => served,
            };
            let counter = match served {
                Ok(Ok(Status::Ok)) => &metrics.scrapes,
                _ => &metrics.scrapes_failed,
            };
            counter.add_one();
            drop(permit);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    Some((stream, permit))
}

async fn converse(mut stream: TcpStream, observe: &(dyn Fn() -> Vec<Family> + Send + Sync)) -> io::Result<Status> {
    let Some(head) = read_head(&mut stream).await? else { return Ok(Status::BadRequest) };
    let asked = read_request(&head);
    let (status, format, with_body) = match asked {
        Ok(Request { format, with_body }) => (Status::Ok, format, with_body),
        Err(status) => (status, Format::Prometheus, true),
    };
    let body = if status == Status::Ok { text(&observe(), format) } else { format!("{}\n", status.line()) };
    let content_type = if status == Status::Ok { format.content_type() } else { "text/plain; charset=utf-8" };
    let allow = if status == Status::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
    let mut response = format!(
        "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}Vary: Accept\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        status.line(),
        body.len()
    );
    if with_body {
        response.push_str(&body);
    }
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    // What the client has sent beyond its request is taken, lest the kernel answer it with a reset.
    let (mut left_over, mut nowhere) = (stream.take(LEFT_OVER_LEN_MAX), tokio::io::sink());
    let _closed = timeout(LINGER_MAX, tokio::io::copy(&mut left_over, &mut nowhere)).await;
    Ok(status)
}

/// Reads up to the empty line; none if the client ends before it. What is too long is given back without its end.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(1024);
    while !ends(&head) && head.len() < HEAD_LEN_MAX {
        let mut part = [0; 1024];
        let length = stream.read(&mut part).await?;
        if length == 0 {
            return Ok(None);
        }
        head.extend_from_slice(part.get(..length).unwrap_or_default());
    }
    Ok(Some(head))
}

fn ends(head: &[u8]) -> bool {
    head.windows(4).any(|window| window == b"\r\n\r\n")
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    format: Format,
    /// GET rather than HEAD.
    with_body: bool,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLong,
    VersionNotSupported,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLong => "431 Request Header Fields Too Large",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// Reads the head of a request (RFC 9112 §3).
fn read_request(head: &[u8]) -> Result<Request, Status> {
    if !ends(head) {
        return Err(Status::HeadTooLong);
    }
    let head = std::str::from_utf8(head).map_err(|_| Status::BadRequest)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Status::BadRequest);
    };
    match version.strip_prefix("HTTP/") {
        Some("1.1" | "1.0") => {}
        Some(_) => return Err(Status::VersionNotSupported),
        None => return Err(Status::BadRequest),
    }
    let with_body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return Err(Status::MethodNotAllowed),
    };
    if target.split('?').next() != Some("/metrics") {
        return Err(Status::NotFound);
    }
    let accept = lines.filter_map(|line| line.split_once(':')).filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
    let accepted: Vec<&str> = accept.flat_map(|(_, value)| value.split(',')).collect();
    Ok(Request { format: negotiate(&accepted), with_body })
}

/// The format that the client likes best; OpenMetrics if it does not care (RFC 9110 §12.5.1).
fn negotiate(accepted: &[&str]) -> Format {
    let liking = |media_type: &str| {
        let ranges = accepted.iter().map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media_type));
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            (named, quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0)))
        });
        ranges.filter(|(named, _)| *named).map(|(_, quality): (bool, f64)| quality).fold(0.0, f64::max)
    };
    let (open_metrics, plain) = (liking("application/openmetrics-text"), liking("text/plain"));
    if plain > open_metrics { Format::Prometheus } else { Format::OpenMetrics }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_the_scraper_likes_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;\
                          q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (prometheus, Format::OpenMetrics),
            ("*/*", Format::OpenMetrics),
            ("text/plain", Format::Prometheus),
            ("application/openmetrics-text;q=0.1, text/plain;version=0.0.4;q=0.9", Format::Prometheus),
            ("application/openmetrics-text;q=x", Format::OpenMetrics),
        ] {
            let head = format!("GET /metrics HTTP/1.1\r\nHost: a\r\naccept: {accept}\r\n\r\n");
            assert_eq!(read_request(head.as_bytes()), Ok(Request { format, with_body: true }), "{accept}");
        }
    }

    #[test]
    fn what_is_no_request_for_metrics_is_refused_with_its_reason() {
        for (head, status) in [
            ("GET / HTTP/1.1\r\n\r\n", Status::NotFound),
            ("GET /metricsx HTTP/1.1\r\n\r\n", Status::NotFound),
            ("POST /metrics HTTP/1.1\r\n\r\n", Status::MethodNotAllowed),
            ("GET /metrics\r\n\r\n", Status::BadRequest),
            ("GET  /metrics HTTP/1.1\r\n\r\n", Status::BadRequest),
            ("GET /metrics HTTP/2\r\n\r\n", Status::VersionNotSupported),
            ("GET /metrics FTP/1.1\r\n\r\n", Status::BadRequest),
            ("\r\n\r\n", Status::BadRequest),
            ("GET /metrics HTTP/1.1\r\n", Status::HeadTooLong),
        ] {
            assert_eq!(read_request(head.as_bytes()), Err(status), "{head:?}");
        }
        assert_eq!(read_request(b"GET /m\xff HTTP/1.1\r\n\r\n"), Err(Status::BadRequest));
        let head = b"HEAD /metrics?x=1 HTTP/1.0\r\n\r\n";
        assert_eq!(read_request(head), Ok(Request { format: Format::OpenMetrics, with_body: false }));
    }
}
