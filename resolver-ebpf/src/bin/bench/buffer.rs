//! Packets that are only looked at, in packet buffers and in the driver's memory alike.

use core::mem::size_of;

use aya_ebpf::programs::TcContext;
use bytemuck::Pod;
use resolver_ebpf::serve::Frame;

use crate::packet::Packet;

/// A packet that can be looked at.
pub trait View {
    /// A `T` at a constant offset, if it lies in the packet.
    fn view<T: Pod>(&self, at: usize) -> Option<&T>;
}

impl View for Packet<'_> {
    #[inline(always)]
    fn view<T: Pod>(&self, at: usize) -> Option<&T> {
        Frame::view(self, at)
    }
}

/// The part of a packet buffer that lies in one piece, from the Ethernet header on.
pub struct Buffer<'c> {
    ctx: &'c TcContext,
}

impl<'c> Buffer<'c> {
    /// The packet of `ctx`.
    #[inline(always)]
    pub fn new(ctx: &'c TcContext) -> Self {
        Self { ctx }
    }
}

impl View for Buffer<'_> {
    #[inline(always)]
    fn view<T: Pod>(&self, at: usize) -> Option<&T> {
        const { assert!(align_of::<T>() == 1) };
        let address = self.ctx.data() + at;
        if address + size_of::<T>() > self.ctx.data_end() {
            return None;
        }
        // SAFETY: the bytes lie before the end that was just compared with, the alignment is 1, every pattern of bits is a `T`,
        // and nobody changes the packet while the program runs.
        Some(unsafe { &*(address as *const T) })
    }
}
