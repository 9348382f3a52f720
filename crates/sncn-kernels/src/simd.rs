//! Vectors of f32 and the choice of instruction set.
//!
//! A kernel is written once, as a `Kernel` over any `Vector`; `Form::run` compiles it for every instruction set and
//! enters the chosen one. The algorithms are the same in every form, only the width and the rounding of a·b + c differ.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::bf16::pair;
use crate::reference;
use std::sync::OnceLock;

/// How the f32 kernels are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The defining loops: the reference, for tests.
    Naive,
    /// Arrays of four; assumes nothing of the processor.
    Portable,
    /// Eight lanes: AVX2 with fused multiply-add.
    Avx2,
    /// Sixteen lanes: AVX-512.
    Avx512,
}

const NAMES: [(&str, Form); 4] =
    [("naive", Form::Naive), ("portable", Form::Portable), ("avx2", Form::Avx2), ("avx512", Form::Avx512)];

#[cfg(target_arch = "x86_64")]
fn has(form: Form) -> bool {
    match form {
        Form::Naive | Form::Portable => true,
        Form::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        Form::Avx512 => {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && has(Form::Avx2)
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has(form: Form) -> bool {
    matches!(form, Form::Naive | Form::Portable)
}

/// What `SNCN_KERNELS` asks for, or why it cannot be had.
fn asked(value: Option<&str>) -> Result<Form, String> {
    let best = || NAMES.iter().rev().map(|&(_, form)| form).find(|&form| has(form)).unwrap_or(Form::Portable);
    let Some(value) = value else { return Ok(best()) };
    if value == reference::NAME {
        return Ok(Form::Portable); // for what still calls a kernel: nothing else knows of the processor either
    }
    match NAMES.iter().find(|(name, _)| *name == value) {
        Some(&(_, form)) if has(form) => Ok(form),
        Some(_) => Err(format!("SNCN_KERNELS={value}: this processor lacks it; using {:?}", best())),
        None => Err(format!("SNCN_KERNELS={value}: accepted are naive, portable, avx2, avx512, reference; using {:?}", best())),
    }
}

impl Form {
    /// The forms this processor can run, slowest first.
    pub fn available() -> Vec<Self> {
        NAMES.iter().map(|&(_, form)| form).filter(|&form| has(form)).collect()
    }

    /// The fastest form, or the one that the environment variable `SNCN_KERNELS` names; read once. Where that is `reference`,
    /// it is the portable one (see [`crate::reference`]).
    pub fn current() -> Self {
        static CURRENT: OnceLock<Form> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            asked(reference::ASKED.as_deref())
                .or_else(|why| {
                    eprintln!("{why}");
                    asked(None)
                })
                .unwrap_or(Form::Portable)
        })
    }

    /// Runs `f` where the compiler may use this form's instructions: plain loops that are inlined into `f` become as wide as
    /// the form's vectors.
    ///
    /// # Panics
    /// Where the processor lacks the form.
    #[inline]
    pub fn enter(self, f: impl FnOnce()) {
        self.run(Closure(f));
    }

    /// Columns of a weight panel: two vectors.
    pub(crate) fn panel(self) -> usize {
        2 * match self {
            Form::Naive | Form::Portable => portable::F32x4::LANES,
            Form::Avx2 => 8,
            Form::Avx512 => 16,
        }
    }

    /// As [`Form::run`], for kernels over bf16 pairs: with the processor's instruction for them where it has one.
    pub(crate) fn run_pairs<K: Kernel>(self, kernel: K) {
        if !has_pairs(self) {
            return self.run(kernel);
        }
        // SAFETY: `has_pairs` found AVX-512 F, DQ, BW, VL and BF16.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            x86::avx512_bf16(kernel)
        }
    }

    /// Runs `kernel` compiled for this form; the naive form has none and takes the portable one.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        assert!(has(self), "{self:?}: this processor lacks it; Form::available() lists what it has");
        match self {
            // SAFETY: the portable vector assumes no processor.
            Form::Naive | Form::Portable => unsafe { kernel.run::<portable::F32x4>() },
            // SAFETY: the assertion found AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 => unsafe { x86::avx2(kernel) },
            // SAFETY: the assertion found AVX-512 F, DQ, BW and VL.
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => unsafe { x86::avx512(kernel) },
            #[cfg(not(target_arch = "x86_64"))]
            Form::Avx2 | Form::Avx512 => {}
        }
    }
}

/// Whether products of bf16 pairs are one instruction of this form on this processor; elsewhere they are two multiply-adds.
#[cfg(target_arch = "x86_64")]
fn has_pairs(form: Form) -> bool {
    form == Form::Avx512 && has(form) && is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_pairs(_: Form) -> bool {
    false
}

struct Closure<F>(F);

impl<F: FnOnce()> Kernel for Closure<F> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        (self.0)();
    }
}

/// A computation over vectors; implementations are `#[inline(always)]`, so that they take on the features of their caller.
pub(crate) trait Kernel {
    /// Computes.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`.
    unsafe fn run<V: Vector>(self);
}

/// Some lanes of f32.
///
/// # Safety (of every method)
/// The processor must have the instructions of the type; pointers must be valid for the lanes read or written. No alignment is needed.
pub(crate) trait Vector: Copy {
    /// Lanes.
    const LANES: usize;
    /// Rows of the register tile of two vectors a row.
    const ROWS: usize;
    /// `x` in every lane.
    unsafe fn splat(x: f32) -> Self;
    /// All lanes from memory.
    unsafe fn load(p: *const f32) -> Self;
    /// All lanes to memory.
    unsafe fn store(self, p: *mut f32);
    /// The first `count` lanes from memory (at most `LANES`), zeros after them.
    unsafe fn load_part(p: *const f32, count: usize) -> Self;
    /// The first `count` lanes to memory (at most `LANES`).
    unsafe fn store_part(self, p: *mut f32, count: usize);
    /// self + other.
    unsafe fn add(self, other: Self) -> Self;
    /// self − other.
    unsafe fn sub(self, other: Self) -> Self;
    /// self · other.
    unsafe fn mul(self, other: Self) -> Self;
    /// self · a + b, fused where the processor can.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    /// The low bf16 of every lane's pair as f32.
    unsafe fn low(self) -> Self;
    /// The high bf16 of every lane's pair as f32.
    unsafe fn high(self) -> Self;
    /// self · a + b, where self and a are pairs of bf16: both products are added.
    #[inline(always)]
    unsafe fn dot(self, a: Self, b: Self) -> Self {
        // SAFETY: arithmetic only.
        unsafe { self.high().fma(a.high(), self.low().fma(a.low(), b)) }
    }
    /// Pairs from twice `LANES` values in memory, rounded.
    #[inline(always)]
    unsafe fn pairs(p: *const f32) -> Self {
        let mut pairs = [0.0; 16];
        for (i, to) in pairs.iter_mut().enumerate().take(Self::LANES) {
            // SAFETY: the caller vouches for twice LANES values.
            *to = unsafe { pair(*p.add(2 * i), *p.add(2 * i + 1)) };
        }
        // SAFETY: no vector has more than 16 lanes.
        unsafe { Self::load(pairs.as_ptr()) }
    }
    /// All lanes rounded to bf16 to memory: half as many pairs.
    #[inline(always)]
    unsafe fn store_pairs(self, p: *mut f32) {
        let mut values = [0.0; 16];
        // SAFETY: no vector has more than 16 lanes; the caller vouches for half of them in memory.
        unsafe {
            self.store(values.as_mut_ptr());
            for i in 0..Self::LANES / 2 {
                *p.add(i) = pair(values[2 * i], values[2 * i + 1]);
            }
        }
    }
    /// The larger of self and `floor`; NaN where self is.
    unsafe fn max(self, floor: Self) -> Self;
    /// self where `test` is positive (or NaN), else 0.
    unsafe fn where_positive(self, test: Self) -> Self;
    /// self / other.
    unsafe fn div(self, other: Self) -> Self;
    /// The square root.
    unsafe fn sqrt(self) -> Self;
    /// 2 to the power of self, a whole number from −127 (which gives 0) to 127; finite where self is NaN.
    unsafe fn power_of_two(self) -> Self;
    /// `a` where self is larger than `best` or is NaN, else `b`; only the bits of `a` and `b` are moved.
    unsafe fn pick_larger(self, best: Self, a: Self, b: Self) -> Self;
    /// self where `a` and `b` are the same bits, else 0.
    unsafe fn where_same(self, a: Self, b: Self) -> Self;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_or_is_answered() {
        assert_eq!(asked(Some("portable")), Ok(Form::Portable));
        assert_eq!(asked(Some("naive")), Ok(Form::Naive));
        assert_eq!(asked(Some("reference")), Ok(Form::Portable));
        assert!(asked(Some("sse9")).unwrap_err().contains("accepted are naive, portable, avx2, avx512, reference"));
        assert_eq!(asked(None).ok().as_ref(), Form::available().last());
    }

    struct Parts<'a>(&'a mut Vec<String>);

    impl Kernel for Parts<'_> {
        unsafe fn run<V: Vector>(self) {
            let source: Vec<f32> = (1..=V::LANES).map(|i| i as f32).collect();
            for count in 0..=V::LANES {
                let mut out = vec![-1.0; V::LANES];
                // SAFETY: `Form::run` checked the processor; both slices have LANES elements.
                unsafe {
                    V::load_part(source.as_ptr(), count).fma(V::splat(2.0), V::splat(1.0)).store_part(out.as_mut_ptr(), count)
                };
                let want = (0..V::LANES).map(|i| if i < count { 2.0 * source[i] + 1.0 } else { -1.0 });
                if !out.iter().copied().eq(want) {
                    self.0.push(format!("{count} of {}: {out:?}", V::LANES));
                }
            }
        }
    }

    #[test]
    fn partial_loads_and_stores_touch_their_lanes_only() {
        for form in Form::available() {
            let mut wrong = Vec::new();
            form.run(Parts(&mut wrong));
            assert!(wrong.is_empty(), "{form:?}: {wrong:?}");
        }
    }
}
