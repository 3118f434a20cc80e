//! Packet memory: the one type that does pointer work on packets.

use core::arch::asm;
use core::mem::size_of;

use aya_ebpf::helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use bytemuck::Pod;
use resolver_ebpf::abi::SLOT_WORDS_MAX;
use resolver_ebpf::serve::{FAR_MAX, Frame};

/// The packet of an XDP program.
pub struct Packet<'c> {
    ctx: &'c XdpContext,
}

impl<'c> Packet<'c> {
    /// The packet of `ctx`. Only one may exist at a time, since it stands for the packet's memory.
    #[inline(always)]
    pub fn new(ctx: &'c XdpContext) -> Self {
        Self { ctx }
    }

    /// Address of a `T` at `at`, if it lies in the packet.
    ///
    /// VERIFIER: it follows an offset that it knows as a number, and learns from this very comparison how far the
    /// pointer reaches.
    #[inline(always)]
    fn address<T: Pod>(&self, at: usize) -> Option<*mut T> {
        const { assert!(align_of::<T>() == 1) };
        let address = self.ctx.data() + at;
        if address + size_of::<T>() > self.ctx.data_end() { None } else { Some(address as *mut T) }
    }
}

impl Frame for Packet<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.ctx.data_end() - self.ctx.data()
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        // SAFETY: the context is the program's own and lives as long as it runs.
        unsafe { (*self.ctx.ctx).ingress_ifindex }
    }

    #[inline(always)]
    fn view<T: Pod>(&self, at: usize) -> Option<&T> {
        // SAFETY: `address` compared with the packet's end, the alignment is 1, every pattern of bits is a `T`, and
        // nobody changes the packet while `self` is borrowed.
        self.address::<T>(at).map(|address| unsafe { &*address })
    }

    #[inline(always)]
    fn view_mut<T: Pod>(&mut self, at: usize) -> Option<&mut T> {
        // SAFETY: as in `view`, and `self` is borrowed for us alone.
        self.address::<T>(at).map(|address| unsafe { &mut *address })
    }

    #[inline(always)]
    fn view_far<T: Pod>(&self, at: usize) -> Option<&T> {
        self.view(bounded(at)?)
    }

    #[inline(always)]
    fn view_far_mut<T: Pod>(&mut self, at: usize) -> Option<&mut T> {
        self.view_mut(bounded(at)?)
    }

    #[inline(always)]
    fn forget(&self, value: u64, noise: u64) -> u64 {
        let mut value = value;
        // SAFETY: a register gets a number added and taken away.
        unsafe {
            asm!("{0} += {1}", "{0} -= {1}", inout(reg) value, in(reg) noise, options(pure, nomem, nostack, preserves_flags));
        }
        value
    }

    #[inline(always)]
    fn hide(&self, value: usize) -> usize {
        hide(value)
    }

    #[inline(always)]
    fn forget_len(&self, len: usize, noise: u64) -> usize {
        self.forget(len as u64, noise) as usize
    }

    #[inline(always)]
    fn write_words(&mut self, at: usize, count: usize, word: impl Fn(usize) -> Option<u64>) -> bool {
        let Some(at) = bounded(at) else { return false };
        // VERIFIER: both ends are taken once; they would be loaded again after every store, which might change the context.
        let (mut address, end) = (self.ctx.data() + at, self.ctx.data_end());
        for turn in 0..SLOT_WORDS_MAX {
            if turn >= count {
                return true;
            }
            if address + 8 > end {
                return false;
            }
            let Some(word) = word(turn) else { return false };
            // SAFETY: the eight bytes lie before the packet's end; `[u8; 8]` has alignment 1; `self` is borrowed for us.
            unsafe { *(address as *mut [u8; 8]) = word.to_le_bytes() };
            address += 8;
        }
        false
    }

    #[inline(always)]
    fn resize_tail(&mut self, by: i32) -> bool {
        // SAFETY: the context is the program's own; no reference into the packet is alive, since `self` is borrowed for us.
        unsafe { bpf_xdp_adjust_tail(self.ctx.ctx, by) == 0 }
    }

    #[inline(always)]
    fn grow_head(&mut self, by: i32) -> bool {
        // SAFETY: as in `resize_tail`.
        unsafe { bpf_xdp_adjust_head(self.ctx.ctx, -by) == 0 }
    }

    #[inline(always)]
    fn shrink_head(&mut self, by: i32) -> bool {
        // SAFETY: as in `resize_tail`.
        unsafe { bpf_xdp_adjust_head(self.ctx.ctx, by) == 0 }
    }
}

/// An offset that the verifier knows to be small, and the compiler not to be related to any other.
///
/// VERIFIER: otherwise the compiler derives one packet pointer from another and comes to negative offsets.
#[inline(always)]
fn bounded(at: usize) -> Option<usize> {
    let at = hide(at);
    if at > FAR_MAX { None } else { Some(at) }
}

/// A number of which the compiler knows nothing any more.
#[inline(always)]
fn hide(mut value: usize) -> usize {
    // SAFETY: a register is copied to itself. (With no instruction at all, the kernel refuses the line information.)
    unsafe { asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}
