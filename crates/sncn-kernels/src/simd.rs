//! `Form`: how kernels are computed, and the choice of the instruction set.
//!
//! A kernel is written once, over any vector type; `Form::run` instantiates it for every instruction set and runs the chosen one. The
//! algorithm is the same in every form; only the width of vectors and the rounding of a·b + c differ.

mod portable;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use vector::{Kernel, Vector};

use crate::reference;
use std::sync::OnceLock;

/// How f32 kernels are computed: by which instruction set, or as plain loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Plain loops: the reference implementation, for tests.
    Naive,
    /// Arrays of four values, on any processor.
    Portable,
    /// Vectors of eight values: AVX2 with fused multiply-add.
    Avx2,
    /// Vectors of sixteen values: AVX-512 F, DQ, BW and VL.
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
    /// Returns the forms that this processor can run, the slowest first.
    pub fn available() -> Vec<Self> {
        NAMES.iter().map(|&(_, form)| form).filter(|&form| has(form)).collect()
    }

    /// Returns the fastest form, or the one that the environment variable `SNCN_KERNELS` names; the variable is read once. For
    /// `reference` it is the portable one (see [`crate::reference`]).
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
    /// Panics where the processor lacks the form.
    #[inline]
    pub(crate) fn enter(self, f: impl FnOnce()) {
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

    /// Panels whose sums the registers hold together.
    pub(crate) fn panels(self) -> usize {
        if self == Form::Avx512 { 2 } else { 1 }
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
