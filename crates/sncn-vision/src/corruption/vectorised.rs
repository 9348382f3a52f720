//! `vectorised`: loops compiled for the vector unit of the processor that runs them.

/// Runs `work`, compiled for the processor's vector unit if it is an `#[inline(always)]` closure.
///
/// The bound makes the closure one that is called once. Others, which `pulp` takes as well, are called through a function that is compiled
/// for the plainest processor, and from a certain size on stay in it.
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
