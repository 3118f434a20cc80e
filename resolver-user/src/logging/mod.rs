//! Where log lines go: standard error, a file, or the system's log; at once, or through a queue.
//!
//! In: finished lines from `tracing`, one write each. Out: the same lines where the operator wants them. A file is opened
//! again on demand (SIGUSR2), for log rotation. With a queue, whoever logs never waits: a line that finds it full is dropped,
//! counted, and told of in the next line that finds room.
//! Refuses: to decide what is logged, and to stop the daemon because a disk is full.

mod sink;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogTarget, LoggingConfig};
use sink::Sink;

/// Why nothing can be logged where the operator wants it.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file cannot be opened.
    #[error("cannot open log-facility {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The system's log does not answer.
    #[error("cannot reach the system's log at {}: {source}; give log-facility=- or a path", path.display())]
    Syslog {
        /// Its socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the logging thread: {source}")]
    Thread {
        /// The system's reason.
        source: io::Error,
    },
}

/// Takes lines. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sink: Mutex<Sink>,
    queue: Option<SyncSender<Queued>>,
    /// Lines dropped since that was last told.
    dropped: AtomicU64,
}

/// What goes through the queue.
#[derive(Debug)]
enum Queued {
    Line(Level, Vec<u8>),
    /// Tells when everything before it is written.
    Flush(SyncSender<()>),
}

/// Writes the lines of one event.
#[derive(Debug)]
pub struct LineWriter {
    log: Log,
    level: Level,
}

impl Log {
    /// Opens the target, and starts the thread behind the queue if there is to be one.
    ///
    /// # Errors
    /// Any [`LogError`].
    pub fn open(config: &LoggingConfig) -> Result<Self, LogError> {
        let sink = Mutex::new(Sink::open(&config.target)?);
        let (queue, lines) = config.queue_len.map(sync_channel).unzip();
        let log = Self(Arc::new(Shared { sink, queue, dropped: AtomicU64::new(0) }));
        if let Some(lines) = lines {
            let shared = Arc::clone(&log.0);
            let thread = std::thread::Builder::new().name("log".to_owned());
            thread.spawn(move || write_queued(&shared, &lines)).map_err(|source| LogError::Thread { source })?;
        }
        Ok(log)
    }

    /// Opens a file again, for whoever has moved the old one away. Keeps the old one if that fails.
    ///
    /// # Errors
    /// [`LogError::File`], [`LogError::Syslog`].
    pub fn reopen(&self) -> Result<(), LogError> {
        let mut sink = self.0.sink.lock().unwrap_or_else(PoisonError::into_inner);
        sink.reopen()
    }

    /// Waits until all lines taken so far are written. For the end of the process.
    pub fn flush(&self) {
        let Some(queue) = &self.0.queue else { return };
        let (written, wait) = sync_channel(1);
        if queue.send(Queued::Flush(written)).is_ok() {
            // The writer never ends before us.
            let _written = wait.recv();
        }
    }

    /// Starts `tracing` with this log as its target. To be called once in a process.
    pub fn install(&self, target: &LogTarget) {
        let format = tracing_subscriber::fmt().with_writer(self.clone()).with_ansi(false).with_target(false);
        match target {
            // The system's log has its own time and level.
            LogTarget::Syslog(_) => format.without_time().with_level(false).init(),
            LogTarget::StandardError | LogTarget::File(_) => format.init(),
        }
    }

    fn take(&self, level: Level, line: &[u8]) {
        let Some(queue) = &self.0.queue else { return self.0.write(level, line) };
        if queue.try_send(Queued::Line(level, line.to_vec())).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn write(&self, level: Level, line: &[u8]) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let told = match dropped {
            0 => Ok(()),
            _ => sink.write(Level::WARN, format!("{dropped} lines were dropped: the log was too slow\n").as_bytes()),
        };
        if told.and_then(|()| sink.write(level, line)).is_err() {
            // There is nowhere to say so; the next line that is taken will.
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}

/// The thread behind the queue, for as long as the process lives.
fn write_queued(shared: &Shared, queue: &Receiver<Queued>) {
    for queued in queue {
        match queued {
            Queued::Line(level, line) => shared.write(level, &line),
            // Whoever waited may be gone.
            Queued::Flush(written) => _ = written.send(()),
        }
    }
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.take(self.level, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        LineWriter { log: self.clone(), level: Level::INFO }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> LineWriter {
        LineWriter { log: self.clone(), level: *meta.level() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn in_file(name: &str, queue_len: Option<usize>) -> (PathBuf, Log) {
        let directory = std::env::temp_dir().join(format!("resolver-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("log");
        let target = LogTarget::File(path.clone());
        let log = Log::open(&LoggingConfig { target, queue_len, ..LoggingConfig::default() }).unwrap();
        (path, log)
    }

    #[test]
    fn lines_go_on_in_a_new_file_once_it_is_opened_again() {
        let (path, log) = in_file("rotate", None);
        log.take(Level::INFO, b"one\n");
        let moved = path.with_extension("1");
        fs::rename(&path, &moved).unwrap();
        log.take(Level::INFO, b"two\n");
        log.reopen().unwrap();
        log.take(Level::INFO, b"three\n");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_full_queue_drops_lines_and_says_how_many() {
        let (path, log) = in_file("queue", Some(2));
        let held = log.0.sink.lock().unwrap();
        // One line is in the thread's hands at most, two are queued.
        for _ in 0..10 {
            log.take(Level::INFO, b"line\n");
        }
        let dropped = log.0.dropped.load(Ordering::Relaxed);
        assert!((7..=8).contains(&dropped), "{dropped}");
        drop(held);
        log.flush();
        let written = fs::read_to_string(&path).unwrap();
        assert_eq!(written.lines().count() as u64, 10 - dropped + 1);
        assert!(written.contains(&format!("{dropped} lines were dropped")), "{written}");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_cannot_be_opened_is_told_with_its_path() {
        let target = LogTarget::File("/no/such/directory/log".into());
        let error = Log::open(&LoggingConfig { target, ..LoggingConfig::default() }).unwrap_err().to_string();
        assert!(error.contains("log-facility /no/such/directory/log"), "{error}");
    }
}
