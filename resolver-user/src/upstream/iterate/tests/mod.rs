//! Iterations among scripted servers, without sockets.

mod unsound;
mod way_down;
mod world;
