//! Test-time statistics in a network: batches stay together, the network stays as it was, and body and gates are told apart.

use candle_core::{DType, Device, Result, Tensor};
use sncn_core::block::{ConvLayer, Head, in_chunks};
use sncn_core::layer::{BatchNorm, BuildContext, Hooks, is_gate_parameter};
use sncn_core::test_time::{NormForm, NormPlace, TestTime};
use sncn_core::{FeatureMap, LayerConfig, Network, Pass, Seed, Vars};

/// Convolution, norm and rectifier, SelfNorm, mean over positions, classifier; evaluated in chunks.
struct Small {
    conv: ConvLayer,
    norm: BatchNorm,
    hooks: Hooks,
    head: Head,
    recordable: bool,
}

impl Small {
    fn new(layers: &[LayerConfig], recordable: bool) -> Result<(Self, Vars)> {
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        let cx = BuildContext::new(8, vars.builder());
        let network = Self {
            conv: ConvLayer::same(cx.vb.pp("conv"), 3, 8, 3, 1)?,
            norm: BatchNorm::new(&cx.at(8, cx.vb.pp("norm")))?,
            hooks: Hooks::new(layers.into(), &[("post", 8)], &cx)?,
            head: Head::new(cx.vb.pp("head"), 8, 5)?,
            recordable,
        };
        Ok((network, vars))
    }
}

impl Network for Small {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        in_chunks(xs, pass, |xs| {
            let xs = FeatureMap::from_tensor(xs, self.recordable, pass)?;
            let ys = self.hooks.on_map("post", self.norm.norm_relu(&self.conv.on_map(&xs)?, pass)?, pass)?;
            self.head.forward(&ys.global_avg_pool()?)
        })
    }

    fn sites(&self) -> usize {
        0
    }
}

fn images(count: usize) -> Result<Tensor> {
    Seed::new(3).normal((count, 7, 6, 3))?.affine(1.7, 0.4)
}

fn values(vars: &Vars) -> Result<Vec<Vec<f32>>> {
    vars.all().iter().map(|(_, var)| var.to_dtype(DType::F32)?.flatten_all()?.to_vec1()).collect()
}

fn distance(one: &Tensor, other: &Tensor) -> Result<f32> {
    (one.detach() - other.detach())?.abs()?.flatten_all()?.max(0)?.to_scalar()
}

#[test]
fn a_batch_of_any_size_is_normalised_as_in_training_and_nothing_changes() -> Result<()> {
    let layers = [LayerConfig::new("selfnorm", "post")];
    for recordable in [true, false] {
        // more than a chunk
        let xs = images(75)?;
        let (network, vars) = Small::new(&layers, recordable)?;
        let before = values(&vars)?;
        let both = TestTime::new(NormForm::Batch, NormPlace::Both);
        let own = network.forward(&xs, &Pass::eval().with_test_time(&both))?;
        let recorded = network.forward(&xs, &Pass::adapting(&both))?;
        assert_eq!((both.adapted(), values(&vars)?), (2, before));
        let trained = network.forward(&xs, &Pass::train(Seed::new(0)).without_dropout())?;
        assert!(distance(&own, &trained)? < 1e-5 && distance(&recorded, &trained)? < 1e-5);
        assert_ne!(values(&vars)?, values(&Small::new(&layers, recordable)?.1)?, "training tracks statistics");
    }
    Ok(())
}

#[test]
fn forms_agree_where_they_must() -> Result<()> {
    let (network, _) = Small::new(&[LayerConfig::new("selfnorm", "post")], true)?;
    let xs = images(40)?;
    let forward = |test_time: &TestTime| network.forward(&xs, &Pass::eval().with_test_time(test_time));
    let of = |form| TestTime::new(form, NormPlace::Both);
    let (batch, unbiased) = (forward(&of(NormForm::Batch))?, forward(&of(NormForm::BatchUnbiased))?);
    // one batch is the whole set, the first of all, and everything without a prior
    let whole = of(NormForm::WholeSet);
    assert_eq!(distance(&forward(&whole)?, &batch)?, 0.);
    assert!(distance(&forward(&whole.gathered())?, &batch)? < 1e-6);
    assert!(distance(&forward(&of(NormForm::Cumulative))?, &unbiased)? < 1e-6);
    assert!(distance(&forward(&of(NormForm::Prior { instances: 0., batch: 40 }))?, &unbiased)? < 1e-6);
    let running = network.forward(&xs, &Pass::eval())?;
    assert!(distance(&forward(&of(NormForm::Prior { instances: 1e12, batch: 40 }))?, &running)? < 1e-5);
    assert!(distance(&batch, &unbiased)? > 1e-4 && distance(&batch, &running)? > 1e-2);
    // statistics of a set are those of all its batches
    assert!(
        forward(&of(NormForm::WholeSet).gathered())
            .unwrap_err()
            .to_string()
            .contains("no statistics of the whole set were gathered")
    );
    let halves = of(NormForm::WholeSet);
    for half in [xs.narrow(0, 0, 15)?, xs.narrow(0, 15, 25)?] {
        network.forward(&half, &Pass::eval().with_test_time(&halves))?;
    }
    let fixed = halves.gathered();
    let one = network.forward(&xs.narrow(0, 0, 1)?, &Pass::eval().with_test_time(&fixed))?;
    assert!(distance(&one, &forward(&fixed)?.narrow(0, 0, 1)?)? < 1e-5, "fixed statistics do not depend on the batch");
    Ok(())
}

#[test]
fn body_and_gates_are_told_apart() -> Result<()> {
    let (network, vars) = Small::new(&[LayerConfig::new("selfnorm", "post")], true)?;
    let xs = images(4)?;
    let adapted = |place| -> Result<(Tensor, TestTime)> {
        let test_time = TestTime::new(NormForm::Batch, place);
        Ok((network.forward(&xs, &Pass::eval().with_test_time(&test_time))?, test_time))
    };
    let [body, gates, both] = [adapted(NormPlace::Body)?, adapted(NormPlace::Gates)?, adapted(NormPlace::Both)?];
    assert_eq!([body.1.adapted(), gates.1.adapted(), both.1.adapted()], [1, 1, 2]);
    assert!(distance(&body.0, &both.0)? > 1e-4 && distance(&gates.0, &both.0)? > 1e-4);
    let named = |test: &dyn Fn(&str, &Tensor) -> bool| -> Vec<String> {
        vars.trainable().into_iter().filter(|(name, var)| test(name, var.as_tensor())).map(|(name, _)| name).collect()
    };
    assert_eq!(named(&|_, tensor| both.1.is_of_body(tensor)), ["norm.weight", "norm.bias"]);
    let of_gates = named(&|name, _| is_gate_parameter(name));
    assert!(of_gates.len() == 3 && of_gates.iter().all(|name| name.contains("g_fc") || name.contains("g_bn")), "{of_gates:?}");
    // one instance has many positions, and one value a gate
    let one = |place| network.forward(&images(1)?, &Pass::eval().with_test_time(&TestTime::new(NormForm::Batch, place)));
    assert!(one(NormPlace::Body).is_ok());
    assert!(one(NormPlace::Gates).unwrap_err().to_string().contains("needs at least 2 values a channel, this batch has 1"));
    Ok(())
}
