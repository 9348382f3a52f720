//! FixMatch: its loss on given scores, whole steps of a small network and of the published one with and without CrossNorm.

use crate::probes::{dtype, holds, norm_and_probe};
use crate::tiny::Tiny;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;
use sncn_core::loss::value;
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{BoundingBox, CrossNormDraw, LayerConfig, Network, Pass, Seed, Vars, WeightAverage, backward};
use sncn_golden::{Case, Index, Trial, fill, relative_error};
use sncn_train::fixmatch::TOLD;
use sncn_train::schedule::ScheduleConfig;
use sncn_train::{Batch, FixMatch, Objective};
use sncn_vision::backbone::{Blueprint, build};
use std::sync::Mutex;

/// The operations of the relatives whose cases run here.
pub(crate) const OPERATIONS: [&str; 2] = ["fixmatch_step", "fixmatch_lr"];
/// The loss alone, among the losses.
pub(crate) const LOSS: &str = "fixmatch";

fn tensor(case: &Trial, name: &str) -> Result<Tensor> {
    let array = case.f32(name)?;
    let t = Tensor::from_vec(case.values(name, &array.data), array.shape, &Device::Cpu)?.to_dtype(dtype(case))?;
    let is_image = ["x.", "u_w.", "u_s."].iter().any(|start| name.starts_with(start));
    Ok(if is_image { t.permute((0, 2, 3, 1))?.contiguous()? } else { t })
}

fn check(case: &Trial, name: &str, got: &Tensor) -> Result<()> {
    let error = relative_error(&got.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, &case.f32(name)?.data);
    let recorded = case.params["float32_deviation"]["max"].as_f64().unwrap_or(0.);
    case.error(name, error, case.bound(2e-6, (5. * recorded).max(1e-5)));
    Ok(())
}

fn classes(case: &Case, name: &str) -> Result<Vec<u32>> {
    Ok(case.i64(name)?.data.iter().map(|&class| class as u32).collect())
}

fn settings(case: &Case) -> Result<FixMatch> {
    let (threshold, weight) = (case.number("threshold")?, case.number("lambda_u")?);
    Ok(FixMatch { threshold, weight, temperature: case.number("temperature")?, ..FixMatch::default() })
}

/// A network that gives the scores it is asked for.
struct Scores(Tensor);

impl Network for Scores {
    fn forward(&self, _: &Tensor, _: &Pass) -> candle_core::Result<Tensor> {
        Ok(self.0.clone())
    }

    fn sites(&self) -> usize {
        0
    }
}

pub(crate) fn golden_fixmatch_losses() -> Result<()> {
    let index = Index::load("losses_optim")?;
    for case in index.cases()?.iter().filter(|case| case.op == LOSS) {
        let scores = |name: &str| -> Result<Var> {
            let array = case.f32(name)?;
            Ok(Var::from_tensor(&Tensor::from_vec(array.data, array.shape, &Device::Cpu)?.to_dtype(DType::F64)?)?)
        };
        let (x, weak, strong) = (scores("logits_x")?, scores("logits_u_weak")?, scores("logits_u_strong")?);
        let all = Tensor::cat(&[x.as_tensor(), weak.as_tensor(), strong.as_tensor()], 0)?;
        let pseudo = classes(case, "pseudo_labels")?;
        let likeliest: Vec<u32> = settings(case)?.likeliest(&weak)?.into_iter().map(|(class, _)| class).collect();
        ensure!(likeliest == pseudo, "{}: pseudo-labels {likeliest:?}, wanted {pseudo:?}", case.id);
        let batch = Batch { views: 2, unlabelled: pseudo, ..Batch::new(all.clone(), classes(case, "labels")?) };
        let found = Objective::Fixmatch(settings(case)?).smoothed(0.).outcome(&Scores(all), &batch, None, Seed::new(0))?;
        let near = |what: &str, got: f64, want: f64| {
            ensure!((got - want).abs() <= 1e-9 + 1e-6 * want.abs(), "{}: {what} is {got}, wanted {want}", case.id);
            Ok(())
        };
        near("loss", value(&found.loss)?, case.number("loss")?)?;
        near("mask_rate", found.told[0].mean().context("no mean")?, case.number("mask_rate")?)?;
        let gradients = found.loss.backward()?;
        for (name, var) in [("logits_x", &x), ("logits_u_strong", &strong)] {
            let got = gradients.get(var.as_tensor()).context("no gradient")?;
            let error =
                relative_error(&got.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, &case.f32(&format!("d_{name}"))?.data);
            ensure!(error < 1e-5, "{}: gradient of {name} is off by {error:e}", case.id);
        }
        let of_weak = gradients.get(weak.as_tensor()).map(|gradient| gradient.abs()?.max_all()?.to_scalar::<f64>());
        ensure!(of_weak.transpose()?.unwrap_or(0.) == 0., "{}: a gradient reaches the weak scores", case.id);
    }
    Ok(())
}

/// A network whose scores are kept.
struct Watched<'a> {
    network: &'a dyn Network,
    scores: Mutex<Option<Tensor>>,
}

impl Network for Watched<'_> {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> candle_core::Result<Tensor> {
        let scores = self.network.forward(xs, pass)?;
        *self.scores.lock().map_err(candle_core::Error::msg)? = Some(scores.clone());
        Ok(scores)
    }

    fn sites(&self) -> usize {
        self.network.sites()
    }
}

/// The name of a variable in the published state dict.
fn published(name: &str) -> String {
    name.replace("conv_shortcut", "convShortcut")
}

fn network(case: &Trial, vars: &Vars) -> Result<Box<dyn Network>> {
    let net = &case.params["net"];
    let number = |key: &str| net[key].as_u64().with_context(|| format!("net.{key}"));
    match net["arch"].as_str() {
        Some("tiny") => Ok(Box::new(Tiny::new(case, vars)?)),
        Some("fixmatch_wideresnet") => {
            let name = format!("wrn{}_{}_fixmatch", number("depth")?, number("widen_factor")?);
            let layers = [LayerConfig::new("crossnorm", "post")];
            let blueprint = Blueprint { classes: number("num_classes")? as usize, layers: (&layers).into(), vars };
            Ok(build(&name, &blueprint)?)
        }
        other => bail!("{}: no network {other:?}", case.id),
    }
}

/// The site at the end of a unit (`block2.layer.1.post`), or after an activation (`act1`).
fn site(case: &Trial, place: &str) -> Result<usize> {
    if let Some(number) = place.strip_prefix("act") {
        return Ok(number.parse::<usize>()? - 1);
    }
    let parts: Vec<&str> = place.split('.').collect();
    let [block, "layer", unit, "post"] = parts[..] else { bail!("{}: no place {place:?}", case.id) };
    let depth = case.params["net"]["depth"].as_u64().context("depth")? as usize;
    let block: usize = block.strip_prefix("block").context("block")?.parse()?;
    Ok((block - 1) * (depth - 4) / 6 + unit.parse::<usize>()?)
}

fn pass(case: &Trial, step: usize) -> Result<Pass> {
    let Some(draw) = case.params["crossnorm"].get(step) else { return Ok(Pass::train(Seed::new(0))) };
    let window = |v: &Value| {
        let at: Vec<usize> = v.as_array()?.iter().map(|v| v.as_u64().map(|v| v as usize)).collect::<Option<_>>()?;
        Some(BoundingBox { top: at[0], left: at[1], bottom: at[2], right: at[3] })
    };
    let partners = draw["partner"].as_array().context("partner")?.iter().enumerate();
    let partner = partners.map(|(own, partner)| partner.as_u64().map_or(own, |partner| partner as usize)).collect();
    let (style, content) = (window(&draw["style_box"]), window(&draw["content_box"]));
    let at = site(case, draw["place"].as_str().context("place")?)?;
    Ok(Pass::with_draws([(at, CrossNormDraw { partner, channels: None, style, content, blend: None })], Seed::new(0)))
}

/// Norm and probe of a tensor after a step, by shares of its norm.
fn probe(case: &Trial, entry: &Value, what: &str, step: usize, got: &Tensor) -> Result<()> {
    let name = entry["name"].as_str().context("name")?;
    let number = |kind: &str| entry[format!("{what}_{kind}")][step].as_f64().with_context(|| format!("{name}: {what}_{kind}"));
    let (norm, wanted) = (number("norm")?, number("probe")?);
    let found = norm_and_probe(case.text("salt")?, name, got)?;
    let is_tiny = case.params["net"]["arch"] == "tiny";
    let allowed = case.bound(2e-6, if is_tiny { 1e-4 } else { 1e-3 }) * norm + 1e-9;
    case.error(&format!("{what} of {name}"), (found.0 - norm).abs().max((found.1 - wanted).abs()), allowed);
    Ok(())
}

fn step_case(case: &Trial) -> Result<()> {
    let vars = Vars::new(Seed::new(0), dtype(case), &Device::Cpu);
    let network = network(case, &vars)?;
    for (name, var) in vars.all().iter().filter(|(name, _)| !name.ends_with("tracked")) {
        let name = published(name);
        let values = match case.has(&name) {
            true => case.f32(&name)?.data,
            false => fill(case.text("salt")?, &name, var.dims(), case.number("weight_gain")?),
        };
        var.set(&Tensor::from_vec(case.values(&name, &values), var.dims(), &Device::Cpu)?.to_dtype(var.dtype())?)?;
    }
    let sgd = |key: &str| case.params["sgd"][key].as_f64().with_context(|| format!("sgd.{key}"));
    let config = OptimizerConfig::Sgd { momentum: sgd("momentum")?, nesterov: true, weight_decay: sgd("weight_decay")? };
    let parts = case.params["no_decay_names_containing"].as_array().context("no_decay_names_containing")?;
    let decays = |name: &str| !parts.iter().any(|part| part.as_str().is_some_and(|part| name.contains(part)));
    let mut optimizer = Optimizer::new(config, vars.trainable())?.with_decay_of(decays);
    let mut average = WeightAverage::new(case.number("ema_decay")?, &vars)?;
    let state = case.params["state"].as_array().context("state")?;
    let entry = |name: &str| state.iter().find(|entry| entry["name"] == published(name)).with_context(|| name.to_string());
    let objective = Objective::Fixmatch(settings(case)?).smoothed(0.);
    for step in 0..case.integer("steps")? {
        let of = |name: &str| tensor(case, &format!("{name}.{step}"));
        let inputs = Tensor::cat(&[of("x")?, of("u_w")?, of("u_s")?], 0)?;
        let pseudo = classes(case, &format!("pseudo_labels.{step}"))?;
        let labels = classes(case, &format!("labels.{step}"))?;
        let (n, u) = (labels.len(), pseudo.len());
        let batch = Batch { views: 2, unlabelled: pseudo.clone(), ..Batch::new(inputs, labels) };
        let watched = Watched { network: &*network, scores: Mutex::default() };
        let found = objective.outcome_in(&watched, &batch, &pass(case, step)?)?;
        let scores = watched.scores.into_inner()?.context("no scores")?;
        for (name, start, len) in [("logits_x", 0, n), ("logits_u_w", n, u), ("logits_u_s", n + u, u)] {
            check(case, &format!("{name}.{step}"), &scores.narrow(0, start, len)?)?;
        }
        let likeliest = settings(case)?.likeliest(&scores.narrow(0, n, u)?)?;
        ensure!(likeliest.iter().map(|(class, _)| *class).eq(pseudo), "{}: other pseudo-labels", case.id);
        check(case, &format!("max_prob.{step}"), &Tensor::from_iter(likeliest.into_iter().map(|(_, p)| p), &Device::Cpu)?)?;
        let number = |key: &str| case.params[key][step].as_f64().with_context(|| key.to_string());
        case.error("loss", (value(&found.loss)? / number("loss")? - 1.).abs(), case.bound(1e-6, 1e-5));
        let told = |at: usize| found.told[at].mean().with_context(|| TOLD[at]);
        ensure!((told(0)? - number("mask_rate")?).abs() < 1e-12, "{}: {} of the instances", case.id, told(0)?);
        ensure!(told(1)? == 1., "{}: {} of the pseudo-labels are right", case.id, told(1)?);
        let lr = ScheduleConfig::FixmatchCosine {}.lr_at(
            case.integer("first_step")? + step,
            case.integer("total_steps")?,
            1,
            sgd("lr")?,
        );
        ensure!((lr / number("lr_per_step")? - 1.).abs() < 1e-12, "{}: a learning rate of {lr}", case.id);
        let gradients = backward(&found.loss)?;
        for (name, var) in vars.trainable() {
            if entry(&name)?.get("grad").is_some_and(Value::is_null) {
                let unused = network.unused_parameters().iter().any(|prefix| name.starts_with(prefix));
                ensure!(unused && gradients.get(var.as_tensor()).is_none(), "{}: {name} has a gradient", case.id);
                continue;
            }
            let gradient = gradients.get(var.as_tensor()).with_context(|| format!("{name} has no gradient"))?;
            probe(case, entry(&name)?, "grad", step, gradient)?;
            let tensor = format!("d_{name}.{step}");
            case.has(&tensor).then(|| check(case, &tensor, gradient)).transpose()?;
        }
        optimizer.step(&gradients, lr)?;
        average.update()?;
        for (name, moment) in optimizer.state()? {
            let Some(name) = name.strip_prefix("first/") else { continue };
            probe(case, entry(name)?, "momentum", step, &moment)?;
        }
        let check_all = |what: &str| -> Result<()> {
            for (name, var) in vars.all().iter().filter(|(name, _)| !name.ends_with("tracked")) {
                probe(case, entry(name)?, what, step, var.as_tensor())?;
                let tensor = format!("{name}.{what}.{step}");
                case.has(&tensor).then(|| check(case, &tensor, var.as_tensor())).transpose()?;
            }
            Ok(())
        };
        check_all("after")?;
        average.with(|| check_all("ema"))??;
    }
    Ok(())
}

pub(crate) fn golden_fixmatch_steps() -> Result<()> {
    let index = Index::load("relatives")?;
    for case in index.cases()?.iter().filter(|case| case.op == "fixmatch_step") {
        holds(case, step_case)?;
    }
    Ok(())
}

pub(crate) fn golden_fixmatch_learning_rates() -> Result<()> {
    let index = Index::load("relatives")?;
    for case in index.cases()?.iter().filter(|case| case.op == "fixmatch_lr") {
        for row in case.params["rows"].as_array().context("rows")? {
            let (k, want) = (row[0].as_u64().context("k")? as usize, row[1].as_f64().context("lr")?);
            let got = ScheduleConfig::FixmatchCosine {}.lr_at(k, case.integer("total_steps")?, 1, case.number("lr")?);
            ensure!((got / want - 1.).abs() < 1e-12, "{}: step {k} has {got}, wanted {want}", case.id);
        }
    }
    Ok(())
}
