//! `KeptWeights`: packed weights that evaluation passes use again.

use candle_core::{Tensor, TensorId};
use sncn_kernels::conv::ConvShape;
use sncn_kernels::fused::{Direction, PackedWeight};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The packed weights of convolutions and linear layers, by variable and whether they are rounded to bf16.
#[derive(Default)]
pub(crate) struct KeptWeights(Mutex<HashMap<(TensorId, bool), Arc<PackedWeight>>>);

impl KeptWeights {
    /// The packed values of a weight: from `kept` where they are there, and kept where they are those of a variable.
    pub(crate) fn packed(kept: Option<&Self>, weight: &Tensor, values: &[f32], s: &ConvShape, bf16: bool) -> Arc<PackedWeight> {
        let pack = || match bf16 {
            true => PackedWeight::bf16(s, values),
            false => PackedWeight::new(s, Direction::Forward, values),
        };
        // other tensors live for a pass only
        let Some(Self(kept)) = kept.filter(|_| weight.is_variable()) else { return Arc::new(pack()) };
        let key = (weight.id(), bf16);
        let find =
            || kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key).filter(|packed| packed.is_for(s, bf16)).cloned();
        find().unwrap_or_else(|| {
            let packed = Arc::new(pack());
            kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key, packed.clone());
            packed
        })
    }
}
