//! `Built`: how a network gets its norms, and what it was built with.

use super::base::Layer;
use super::batch_norm::BatchNorm;
use super::context::BuildContext;
use super::group_norm::GroupNorm;
use super::hooks::Layers;
use super::norm::{Norm, Place};
use candle_core::{Error, Result};

/// What a network was built with.
#[derive(Clone, Copy, Debug)]
pub struct Built {
    /// The number of its sites.
    pub sites: usize,
    /// Whether every norm and attached layer can be applied to recorded maps; what
    /// [`FeatureMap::from_tensor`](crate::FeatureMap::from_tensor) wants to know.
    pub recordable: bool,
}

impl Layers<'_> {
    /// Builds the norm at a place of a network: `usual`, or what stands there instead. Its variables are those below `cx.vb`. Norms are
    /// built in the order in which the network applies them.
    ///
    /// # Errors
    /// Returns the error of the layer, such as a setting that does not fit the channels, with the path of its variables.
    pub fn norm<L: Layer + 'static>(
        &self,
        cx: &BuildContext,
        place: Place,
        usual: impl FnOnce(&BuildContext) -> Result<L>,
    ) -> Result<Norm> {
        let number = cx.next_norm();
        let Some((norm, kind)) = self.norm.and_then(|norm| Some((norm, norm.at(place, cx, number)?))) else {
            return Ok(Norm(Box::new(usual(cx)?)));
        };
        norm.check(self.registry)?;
        let layer = self
            .registry
            .build(kind, norm.settings.clone(), cx)
            .map_err(|error| Error::Msg(format!("norm {:?} of {} channels: {error}", cx.vb.prefix(), cx.channels)))?;
        cx.note_norm(layer.recordable());
        Ok(Norm(layer))
    }

    /// As [`Layers::norm`], where the usual norm is BatchNorm with PyTorch's settings.
    ///
    /// # Errors
    /// As [`Layers::norm`].
    pub fn batch_norm(&self, cx: &BuildContext, place: Place) -> Result<Norm> {
        self.norm(cx, place, BatchNorm::new)
    }

    /// Builds what follows the addition at the end of a block, before an activation: InstanceNorm (`IN`) at the end of a stage where the
    /// norm is `ibn_b`, nothing otherwise. [`Hooks::of_block`](super::Hooks::of_block) takes it; `cx` has the channels of the sum.
    ///
    /// # Errors
    /// Returns an error where a variable exists with another shape.
    pub fn end_norm(&self, cx: &BuildContext, is_last: bool) -> Result<Option<Norm>> {
        if !(is_last && self.norm.is_some_and(|norm| norm.ends(cx))) {
            return Ok(None);
        }
        cx.note_end();
        Ok(Some(Norm(Box::new(GroupNorm::instance(&cx.at(cx.channels, cx.vb.pp("IN")))?))))
    }

    /// What the network of a context was built with; a network asks when it is complete.
    ///
    /// # Errors
    /// Returns an error where the network has no place for the norm that is wanted, or the norm is unknown.
    pub fn built(&self, cx: &BuildContext) -> Result<Built> {
        if let Some(norm) = self.norm {
            norm.check(self.registry)?;
            let (replaced, ends) = cx.norms();
            norm.check_placed(replaced, ends)?;
        }
        Ok(Built { sites: cx.sites(), recordable: cx.is_recordable() })
    }
}
