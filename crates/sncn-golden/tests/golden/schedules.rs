//! The golden courses of the learning rate.

use anyhow::{Context, Result, ensure};
use sncn_train::schedule::ScheduleConfig;

pub(crate) fn golden_schedules() -> Result<()> {
    let json = sncn_golden::json("losses_optim.json")?;
    for schedule in json["schedules"].as_array().context("schedules")? {
        let number = |key: &str| schedule[key].as_f64();
        let values = schedule["values"].as_array().context("values")?;
        let (course, base, per_epoch) = match schedule["name"].as_str().context("name")? {
            "cosine" => (ScheduleConfig::Cosine { floor: 1e-6 }, number("lr"), 1),
            "imagenet_step" => {
                (ScheduleConfig::Step {}, number("lr").zip(number("batch_size")).map(|(lr, batch)| lr * batch / 256.), 1)
            }
            "poly" => (ScheduleConfig::Polynomial { power: number("power").context("power")? }, number("base_lr"), 1),
            "fixmatch_cosine" => (ScheduleConfig::FixmatchCosine {}, number("lr"), 1),
            other => anyhow::bail!("unknown schedule {other}"),
        };
        let total = number("total_steps").or(number("epochs")).or(number("max_iter")).context("total")? as usize;
        for (k, want) in values.iter().enumerate() {
            let (got, want) = (course.lr_at(k, total, per_epoch, base.context("lr")?), want.as_f64().context("value")?);
            ensure!((got - want).abs() <= 1e-12 + 1e-9 * want, "{schedule}: update {k} is {got}, wanted {want}");
        }
    }
    Ok(())
}
