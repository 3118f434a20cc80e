//! A terminal whose screen is ours until we give it back.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Size where the terminal tells none, in columns and lines.
const USUAL_SIZE: (usize, usize) = (80, 24);
/// Ctrl-C and Ctrl-D, which come as bytes here.
const CONTROL_C: u8 = 3;
const CONTROL_D: u8 = 4;

/// The terminal on standard input and output. Dropping it gives the screen back as it was.
pub(super) struct Terminal {
    modes: Termios,
}

impl Terminal {
    /// Takes over screen and keyboard.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn open() -> io::Result<Self> {
        let modes = tcgetattr(io::stdin())?;
        let mut ours = modes.clone();
        ours.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Now, &ours)?;
        let terminal = Self { modes };
        // The other screen, without a cursor.
        write("\x1b[?1049h\x1b[?25l")?;
        Ok(terminal)
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => USUAL_SIZE,
        }
    }

    /// Shows a text in place of what was there.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn show(&mut self, text: &str) -> io::Result<()> {
        let mut screen = String::from("\x1b[H");
        for (number, line) in text.lines().enumerate() {
            if number > 0 {
                screen.push_str("\r\n");
            }
            screen.push_str(line);
            // What was longer before.
            screen.push_str("\x1b[K");
        }
        screen.push_str("\x1b[J");
        write(&screen)
    }

    /// Waits; true as soon as `q` is hit, or the terminal is gone.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn wait_for_quit(&mut self, period: Duration) -> io::Result<bool> {
        let until = Instant::now() + period;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let stdin = io::stdin();
            let mut awaited = [PollFd::new(&stdin, PollFlags::IN)];
            let patience = Timespec { tv_sec: 0, tv_nsec: left.as_nanos().min(999_999_999) as _ };
            match poll(&mut awaited, Some(&patience)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let mut keys = [0; 16];
            let count = rustix::io::read(&stdin, &mut keys)?;
            let quits = |key: &u8| matches!(*key, b'q' | b'Q' | CONTROL_C | CONTROL_D);
            if count == 0 || keys.iter().take(count).any(quits) {
                return Ok(true);
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to give back.
        let _gone = write("\x1b[?25h\x1b[?1049l");
        let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.modes);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
