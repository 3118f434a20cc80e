//! Lets the operator look into the running daemon and empty the kernel map, over a Unix socket.
//!
//! In: one line of JSON, a [`Request`]. Out: lines of JSON, the reports of [`report`], or an [`ErrorReport`]; then the
//! connection is closed. Rooms: `server` listens, `client` asks, `text` prints for people.
//! Refuses: anyone but the socket's owner and group (mode 0660), and to change anything but the kernel map, the
//! negative anchors that were added over it, and the anchors whose file has changed.

mod client;
pub mod report;
mod server;
mod text;

pub use client::{ClientError, ask};
pub use report::{ErrorReport, Request};
pub use server::{
    CaptureStream, Captured, ControlError, ControlListener, ControlService, ControlSocket, bind_control, serve_control,
};
pub use text::{print_clients, print_reply, print_sampling, print_status};
