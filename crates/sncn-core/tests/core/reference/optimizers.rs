//! Optimiser steps: the kernels and the reference implementation agree, and one goes on from the other's state.

use super::{apart, random};
use anyhow::{Result, ensure};
use candle_core::{DType, Tensor, Var};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::reference::forced;

const BETAS: (f64, f64) = (0.9, 0.99);

const CONFIGS: [OptimizerConfig; 5] = [
    OptimizerConfig::Sgd { momentum: 0., nesterov: false, weight_decay: 0. },
    OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-2 },
    OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-2 },
    OptimizerConfig::Adam { betas: BETAS, eps: 1e-8, weight_decay: 1e-2 },
    OptimizerConfig::AdamW { betas: BETAS, eps: 1e-8, weight_decay: 1e-2 },
];

/// A variable after six steps and the state, by name; `reference` says which steps run as tensor operations, and at step 3 the
/// state is saved and put into another optimiser.
fn steps(config: &OptimizerConfig, dtype: DType, reference: impl Fn(usize) -> bool) -> Result<Vec<(String, Tensor)>> {
    let var = Var::from_tensor(&random("p", &[3, 5]).to_dtype(dtype)?)?;
    let optimizer = || Optimizer::new(config.clone(), vec![("p".to_string(), var.clone())]);
    let mut current = optimizer()?;
    for step in 0..6 {
        if step == 3 {
            let state = current.state()?;
            current = optimizer()?;
            current.load_state(state)?;
        }
        let gradient = random(&format!("g{step}"), &[3, 5]).to_dtype(dtype)?;
        let grads = (var.as_tensor() * gradient)?.sum_all()?.backward()?;
        let mut update = || current.step(&grads, 0.1);
        if reference(step) { forced(update)? } else { update()? }
    }
    let mut found = vec![("p".to_string(), var.as_detached_tensor())];
    found.extend(current.state()?);
    Ok(found)
}

#[test]
fn optimiser_steps_agree_and_carry_on_from_each_other() -> Result<()> {
    for config in &CONFIGS {
        let kernel = steps(config, DType::F32, |_| false)?;
        let others = [
            ("reference", steps(config, DType::F32, |_| true)?),
            ("in turns", steps(config, DType::F32, |step| step % 2 == 1)?),
            ("f64", steps(config, DType::F64, |_| false)?),
        ];
        for (which, other) in &others {
            ensure!(other.len() == kernel.len(), "{config:?}, {which}: {} states for {}", other.len(), kernel.len());
            for ((name, got), (same, want)) in other.iter().zip(&kernel) {
                let off = apart(got, want)?;
                ensure!(name == same && off < 2e-6, "{config:?}, {which}: {name} is off by {off:.1e}");
            }
        }
    }
    Ok(())
}
