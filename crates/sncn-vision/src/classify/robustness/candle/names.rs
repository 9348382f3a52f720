//! The networks of candle-transformers by the names under which their weights are published: timm's where timm has them.

use candle_core::{Error, Result, Tensor};
use candle_nn::{Func, Module, VarBuilder};
use candle_transformers::models::{
    beit, convmixer, convnext, dinov2, dinov2reg4, efficientnet, efficientvit, eva2, fastvit, hiera, mobilenetv4, mobileone,
    repvgg, resnet, vit,
};
use serde_json::Value;

/// What builds a network of a number of classes from its weights; the settings are those of `config.json`, for networks whose sizes stand
/// there.
type Build = fn(usize, &Value, VarBuilder<'static>) -> Result<Func<'static>>;

/// A network.
pub(super) struct Named {
    pub(super) name: &'static str,
    /// The name of the weight whose first dimension counts the classes.
    pub(super) head: &'static str,
    pub(super) build: Build,
}

/// The name of vision transformers whose sizes stand in `config.json`.
pub(super) const VIT: &str = "vit";

/// Lines of networks that one function builds from different settings.
macro_rules! family {
    ($head:literal, $model:expr; $($name:literal => $config:expr),+ $(,)?) => {
        [$(Named { name: $name, head: $head, build: |classes, _, weights| $model($config, classes, weights) }),+]
    };
}

/// Networks that were written for one number of classes.
macro_rules! fixed {
    ($($name:literal => $model:expr),+ $(,)?) => {
        [$(Named { name: $name, head: "head.weight", build: |_, _, weights| Ok(whole($model(weights)?)) }),+]
    };
}

fn whole(model: impl Module + Send + Sync + 'static) -> Func<'static> {
    Func::new(move |xs: &Tensor| model.forward(xs))
}

fn efficientnet(blocks: Vec<efficientnet::MBConvConfig>, classes: usize, weights: VarBuilder<'static>) -> Result<Func<'static>> {
    Ok(whole(efficientnet::EfficientNet::new(weights, blocks, classes)?))
}

fn vit(classes: usize, config: &Value, weights: VarBuilder<'static>) -> Result<Func<'static>> {
    let config: vit::Config = serde_json::from_value(config.clone())
        .map_err(|error| Error::Msg(format!("config.json does not give the sizes of a vision transformer: {error}")))?;
    let model = vit::Model::new(&config, classes, weights)?;
    Ok(Func::new(move |xs: &Tensor| model.forward(xs)))
}

/// Every network that can be named.
pub(super) fn all() -> Vec<Named> {
    let mut all = vec![Named { name: VIT, head: "classifier.weight", build: vit }];
    all.extend(family!("head.fc.weight", convnext::convnext;
        "convnext_atto" => &convnext::Config::atto(),
        "convnext_femto" => &convnext::Config::femto(),
        "convnext_pico" => &convnext::Config::pico(),
        "convnext_nano" => &convnext::Config::nano(),
        "convnext_tiny" => &convnext::Config::tiny(),
        "convnext_small" => &convnext::Config::small(),
        "convnext_base" => &convnext::Config::base(),
        "convnext_large" => &convnext::Config::large(),
        "convnext_xlarge" => &convnext::Config::xlarge(),
        "convnextv2_atto" => &convnext::Config::atto(),
        "convnextv2_femto" => &convnext::Config::femto(),
        "convnextv2_pico" => &convnext::Config::pico(),
        "convnextv2_nano" => &convnext::Config::nano(),
        "convnextv2_tiny" => &convnext::Config::tiny(),
        "convnextv2_small" => &convnext::Config::small(),
        "convnextv2_base" => &convnext::Config::base(),
        "convnextv2_large" => &convnext::Config::large(),
        "convnextv2_huge" => &convnext::Config::huge(),
    ));
    all.extend(family!("classifier.1.weight", efficientnet;
        "efficientnet_b0" => efficientnet::MBConvConfig::b0(),
        "efficientnet_b1" => efficientnet::MBConvConfig::b1(),
        "efficientnet_b2" => efficientnet::MBConvConfig::b2(),
        "efficientnet_b3" => efficientnet::MBConvConfig::b3(),
        "efficientnet_b4" => efficientnet::MBConvConfig::b4(),
        "efficientnet_b5" => efficientnet::MBConvConfig::b5(),
        "efficientnet_b6" => efficientnet::MBConvConfig::b6(),
        "efficientnet_b7" => efficientnet::MBConvConfig::b7(),
    ));
    all.extend(family!("head.linear.weight", efficientvit::efficientvit;
        "efficientvit_m0" => &efficientvit::Config::m0(),
        "efficientvit_m1" => &efficientvit::Config::m1(),
        "efficientvit_m2" => &efficientvit::Config::m2(),
        "efficientvit_m3" => &efficientvit::Config::m3(),
        "efficientvit_m4" => &efficientvit::Config::m4(),
        "efficientvit_m5" => &efficientvit::Config::m5(),
    ));
    all.extend(family!("head.fc.weight", fastvit::fastvit;
        "fastvit_t8" => &fastvit::Config::t8(),
        "fastvit_t12" => &fastvit::Config::t12(),
        "fastvit_s12" => &fastvit::Config::s12(),
        "fastvit_sa12" => &fastvit::Config::sa12(),
        "fastvit_sa24" => &fastvit::Config::sa24(),
        "fastvit_sa36" => &fastvit::Config::sa36(),
        "fastvit_ma36" => &fastvit::Config::ma36(),
    ));
    all.extend(family!("head.fc.weight", hiera::hiera;
        "hiera_tiny_224" => &hiera::Config::tiny(),
        "hiera_small_224" => &hiera::Config::small(),
        "hiera_base_224" => &hiera::Config::base(),
        "hiera_base_plus_224" => &hiera::Config::base_plus(),
        "hiera_large_224" => &hiera::Config::large(),
        "hiera_huge_224" => &hiera::Config::huge(),
    ));
    all.extend(family!("classifier.weight", mobilenetv4::mobilenetv4;
        "mobilenetv4_conv_small" => &mobilenetv4::Config::small(),
        "mobilenetv4_conv_medium" => &mobilenetv4::Config::medium(),
        "mobilenetv4_conv_large" => &mobilenetv4::Config::large(),
        "mobilenetv4_hybrid_medium" => &mobilenetv4::Config::hybrid_medium(),
        "mobilenetv4_hybrid_large" => &mobilenetv4::Config::hybrid_large(),
    ));
    all.extend(family!("head.fc.weight", mobileone::mobileone;
        "mobileone_s0" => &mobileone::Config::s0(),
        "mobileone_s1" => &mobileone::Config::s1(),
        "mobileone_s2" => &mobileone::Config::s2(),
        "mobileone_s3" => &mobileone::Config::s3(),
        "mobileone_s4" => &mobileone::Config::s4(),
    ));
    all.extend(family!("head.fc.weight", repvgg::repvgg;
        "repvgg_a0" => &repvgg::Config::a0(),
        "repvgg_a1" => &repvgg::Config::a1(),
        "repvgg_a2" => &repvgg::Config::a2(),
        "repvgg_b0" => &repvgg::Config::b0(),
        "repvgg_b1" => &repvgg::Config::b1(),
        "repvgg_b2" => &repvgg::Config::b2(),
        "repvgg_b3" => &repvgg::Config::b3(),
        "repvgg_b1g4" => &repvgg::Config::b1g4(),
        "repvgg_b2g4" => &repvgg::Config::b2g4(),
        "repvgg_b3g4" => &repvgg::Config::b3g4(),
    ));
    let plain = |name, head, build| Named { name, head, build };
    all.extend([
        plain("resnet18", "fc.weight", |classes, _, weights| resnet::resnet18(classes, weights)),
        plain("resnet34", "fc.weight", |classes, _, weights| resnet::resnet34(classes, weights)),
        plain("resnet50", "fc.weight", |classes, _, weights| resnet::resnet50(classes, weights)),
        plain("resnet101", "fc.weight", |classes, _, weights| resnet::resnet101(classes, weights)),
        plain("resnet152", "fc.weight", |classes, _, weights| resnet::resnet152(classes, weights)),
        plain("convmixer_1536_20", "25.weight", |classes, _, weights| convmixer::c1536_20(classes, weights)),
        plain("convmixer_1024_20_ks9_p14", "25.weight", |classes, _, weights| convmixer::c1024_20(classes, weights)),
    ]);
    all.extend(fixed!(
        "beit_base_patch16_384" => beit::vit_base,
        "beit_large_patch16_384" => beit::vit_large,
        "eva02_base_patch14_448" => eva2::vit_base,
        "eva02_large_patch14_448" => eva2::vit_large,
        "dinov2_vits14" => dinov2::vit_small,
        "dinov2_vits14_reg4" => dinov2reg4::vit_small,
        "dinov2_vitb14_reg4" => dinov2reg4::vit_base,
    ));
    all
}
