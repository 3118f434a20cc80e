//! Iterations among scripted servers, without sockets.

mod way_down;
mod world;
