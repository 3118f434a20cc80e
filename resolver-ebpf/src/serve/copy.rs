//! Copies a frame into words, for whoever wants to know what was answered.

use super::Frame;
use super::admit::rest_of_frame;
use crate::abi::{KEPT_LEN_MAX, KEPT_WORDS_MAX};

/// Copies the start of a frame. Out: how many of its bytes, at most [`KEPT_LEN_MAX`]; the last word is padded with zero.
#[inline(always)]
pub fn copy_words<F: Frame>(frame: &F, words: &mut [u64; KEPT_WORDS_MAX]) -> u32 {
    for (turn, place) in words.iter_mut().enumerate() {
        let at = turn.wrapping_mul(8);
        match frame.view::<[u8; 8]>(at) {
            Some(word) => *place = u64::from_le_bytes(*word),
            None => {
                // Fewer than eight are left, or none.
                *place = rest_of_frame(frame, at).unwrap_or(0);
                break;
            }
        }
    }
    u32::try_from(frame.len().min(KEPT_LEN_MAX)).unwrap_or(0)
}
