//! The bridge between aya's marker for map values and ours.

/// A map value. Our marker, `bytemuck::Pod`, demands all that aya's does, and more.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Shared<T>(pub T);

// SAFETY: `Shared<T>` has the layout of `T`, and `bytemuck::Pod` guarantees that T is plain data without padding, valid
// for every bit pattern, Copy and 'static.
#[expect(unsafe_code, reason = "the bridge between aya and mapped memory")]
unsafe impl<T: bytemuck::Pod> aya::Pod for Shared<T> {}
