//! Where memory comes from.
//!
//! A master of a large cluster spends a fifth of its time in the allocator of the C library, and half of that in
//! mimalloc (`docs/performance.md`). But mimalloc takes some megabytes to begin with, and there is an executor
//! for each task: so that masters alone use it.
#![allow(
    unsafe_code,
    reason = "what follows is an allocator; each function says why it is sound"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: Chosen = Chosen;

/// Whether new memory comes from mimalloc. It never becomes false again.
static IS_LARGE: AtomicBool = AtomicBool::new(false);

/// Takes memory from now on in the way that is best for a process that may become large.
pub(crate) fn expect_much() {
    IS_LARGE.store(true, Ordering::Relaxed);
}

/// The C library's allocator, and mimalloc from the moment on that it was chosen.
struct Chosen;

impl Chosen {
    /// Whether the memory came from mimalloc.
    fn is_from_mimalloc(pointer: *mut u8) -> bool {
        // SAFETY: it looks the address up in mimalloc's own table, and reads nothing there. Before mimalloc is
        // chosen no memory is from it.
        IS_LARGE.load(Ordering::Relaxed)
            && unsafe { libmimalloc_sys::mi_is_in_heap_region(pointer.cast_const().cast()) }
    }
}

// SAFETY: both are sound allocators, and memory always goes back to the one that it came from: mimalloc knows
// its own memory. A thread that frees what came from mimalloc has seen `IS_LARGE` true, because the pointer
// came to it from a thread that had, by something that synchronizes the two.
unsafe impl GlobalAlloc for Chosen {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_LARGE.load(Ordering::Relaxed) {
            // SAFETY: the caller keeps the contract, which is the same.
            unsafe { MiMalloc.alloc(layout) }
        } else {
            // SAFETY: as above.
            unsafe { System.alloc(layout) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if IS_LARGE.load(Ordering::Relaxed) {
            // SAFETY: the caller keeps the contract, which is the same.
            unsafe { MiMalloc.alloc_zeroed(layout) }
        } else {
            // SAFETY: as above.
            unsafe { System.alloc_zeroed(layout) }
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if Self::is_from_mimalloc(pointer) {
            // SAFETY: the caller keeps the contract, and the memory is mimalloc's.
            unsafe { MiMalloc.dealloc(pointer, layout) }
        } else {
            // SAFETY: the caller keeps the contract, and the memory is not mimalloc's.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::is_from_mimalloc(pointer) {
            // SAFETY: the caller keeps the contract, and the memory is mimalloc's.
            unsafe { MiMalloc.realloc(pointer, layout, size) }
        } else {
            // SAFETY: the caller keeps the contract, and the memory is not mimalloc's.
            unsafe { System.realloc(pointer, layout, size) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_from_before_the_choice_lives_on_after_it() {
        let small = vec![1_u8; 100];
        let mut large = vec![2_u8; 10_000_000];
        let text = String::from("before");
        expect_much();
        large.resize(20_000_000, 3);
        let after: Vec<String> = (0..1000).map(|n| format!("{text} {n}")).collect();
        let elsewhere = std::thread::spawn(move || {
            drop(small);
            (large.len(), after.len())
        });
        assert_eq!(elsewhere.join().unwrap(), (20_000_000, 1000));
    }
}
