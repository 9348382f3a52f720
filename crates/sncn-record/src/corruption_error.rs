//! `CorruptionErrors`: the errors of one network under corruptions × severities, their means, and these divided by the errors of a
//! reference network (Hendrycks & Dietterich 2019, arXiv 1903.12261, section 4.1).

/// The errors of a reference network, which corruption errors are divided by. All are fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// What reports call it.
    pub name: &'static str,
    /// Its error on the uncorrupted images.
    pub clean: f64,
    /// Its error under every corruption of the benchmark, averaged over the five severities.
    pub errors: [(&'static str, f64); 15],
}

/// The severities that the errors of a [`Reference`] are averaged over.
pub const SEVERITIES: usize = 5;

/// AlexNet on ImageNet-C. The fifteen errors are those of the benchmark, which AugMix and ANT divide by too; the clean error is that
/// of torchvision's weights (`AlexNet_Weights.IMAGENET1K_V1`, top-1 56.522 %).
pub const ALEXNET: Reference = Reference {
    name: "AlexNet",
    clean: 0.43478,
    errors: [
        ("gaussian_noise", 0.886428),
        ("shot_noise", 0.894468),
        ("impulse_noise", 0.92264),
        ("defocus_blur", 0.81988),
        ("glass_blur", 0.826268),
        ("motion_blur", 0.785948),
        ("zoom_blur", 0.79836),
        ("snow", 0.866816),
        ("frost", 0.826572),
        ("fog", 0.819324),
        ("brightness", 0.564592),
        ("contrast", 0.853204),
        ("elastic_transform", 0.646056),
        ("pixelate", 0.71784),
        ("jpeg_compression", 0.6065),
    ],
};

/// What results files call the mean of the corruption errors divided by AlexNet's over all fifteen corruptions.
pub const MCE_ALEXNET: &str = "mce_alexnet";
/// What they call the mean of what corruption adds to the error, divided by what it adds to AlexNet's.
pub const RELATIVE_MCE_ALEXNET: &str = "relative_mce_alexnet";
/// What they call the mean of the corruption errors divided by AlexNet's where some of the fifteen corruptions are missing: no mCE.
pub const MEAN_CE_ALEXNET: &str = "mean_ce_alexnet";
/// These three with the names that reports give them.
pub const NORMALISED: [(&str, &str); 3] = [
    (MCE_ALEXNET, "mCE (AlexNet)"),
    (RELATIVE_MCE_ALEXNET, "relative mCE (AlexNet)"),
    (MEAN_CE_ALEXNET, "mean CE (AlexNet), not of all 15 corruptions"),
];

/// Errors that cannot be divided by those of a reference network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReferenceError {
    /// There is not one reference error for every corruption.
    #[error("{reference} reference errors for {corruptions} corruptions")]
    Count {
        /// The number of reference errors.
        reference: usize,
        /// The number of corruptions.
        corruptions: usize,
    },
    /// A reference error is 0, negative or not a number.
    #[error("a reference error is not positive: {0:?}")]
    NotPositive(Vec<f64>),
    /// The reference network was not measured under a corruption.
    #[error("{reference} has no error under {corruption:?}")]
    Unknown {
        /// The reference network.
        reference: &'static str,
        /// The corruption.
        corruption: String,
    },
    /// A corruption was not measured at as many severities as the reference network was.
    #[error("{corruption} was measured at {severities} of {SEVERITIES} severities, {reference}'s error is the mean over all")]
    Severities {
        /// The reference network.
        reference: &'static str,
        /// The corruption.
        corruption: String,
        /// The number of severities.
        severities: usize,
    },
}

/// Errors as fractions: one row for each corruption with a value for each severity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CorruptionErrors {
    rows: Vec<(String, Vec<f64>)>,
}

/// Corruption errors divided by those of a reference network, as fractions.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalised {
    /// The corruption error of every corruption, in the order of measurement: Σ_s E / Σ_s E_reference.
    pub by_corruption: Vec<f64>,
    /// The relative corruption error of every corruption: Σ_s (E − E_clean) / Σ_s (E_reference − E_reference, clean).
    pub relative_by_corruption: Vec<f64>,
    /// Whether all corruptions that the reference network was measured under are there. Only then the means may be called mCE.
    pub is_whole: bool,
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0., 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

impl Normalised {
    /// The mean over corruptions: the mCE, where it is whole.
    pub fn mean(&self) -> f64 {
        mean(self.by_corruption.iter().copied())
    }

    /// The mean of the relative errors: the relative mCE, where it is whole.
    pub fn relative_mean(&self) -> f64 {
        mean(self.relative_by_corruption.iter().copied())
    }
}

impl CorruptionErrors {
    /// Adds the error at the next severity of a corruption.
    pub fn add(&mut self, corruption: &str, error: f64) {
        match self.rows.iter_mut().find(|(name, _)| name == corruption) {
            Some((_, errors)) => errors.push(error),
            None => self.rows.push((corruption.to_string(), vec![error])),
        }
    }

    /// The corruptions in the order of their first [`add`](Self::add), each with its errors by severity.
    pub fn rows(&self) -> &[(String, Vec<f64>)] {
        &self.rows
    }

    /// Whether these are all corruptions of the benchmark at all severities, so that their mean may be called mCE.
    pub fn is_benchmark(&self) -> bool {
        let measured = |name: &str| self.rows.iter().any(|(known, errors)| known == name && errors.len() == SEVERITIES);
        self.rows.len() == ALEXNET.errors.len() && ALEXNET.errors.iter().all(|(name, _)| measured(name))
    }

    /// The error of every corruption: the mean over its severities.
    pub fn by_corruption(&self) -> Vec<f64> {
        self.rows.iter().map(|(_, errors)| mean(errors.iter().copied())).collect()
    }

    /// The mean corruption error, unnormalised: the mean over corruptions.
    pub fn mean(&self) -> f64 {
        mean(self.by_corruption().into_iter())
    }

    /// The relative corruption error, unnormalised: the mean over corruptions of the error minus `clean`, the error on clean images.
    pub fn relative(&self, clean: f64) -> f64 {
        mean(self.by_corruption().into_iter().map(|error| error - clean))
    }

    /// The error of every corruption, normalised by that of a reference network: Σ_s E / Σ_s E_reference.
    ///
    /// # Errors
    /// If there is not one positive reference error for every corruption.
    pub fn normalised(&self, reference: &[f64]) -> Result<Vec<f64>, ReferenceError> {
        let own = self.by_corruption();
        if own.len() != reference.len() {
            return Err(ReferenceError::Count { reference: reference.len(), corruptions: own.len() });
        }
        if !reference.iter().all(|&error| error > 0.) {
            return Err(ReferenceError::NotPositive(reference.to_vec()));
        }
        Ok(own.iter().zip(reference).map(|(own, reference)| own / reference).collect())
    }

    /// The errors divided by those of `reference`; `clean` is the error on the uncorrupted images, without which there are no relative
    /// errors.
    ///
    /// # Errors
    /// If the reference network was not measured under one of the corruptions, or at more severities.
    pub fn normalised_by(&self, reference: &Reference, clean: Option<f64>) -> Result<Normalised, ReferenceError> {
        let mut divisors = Vec::new();
        for (corruption, errors) in &self.rows {
            let Some((_, error)) = reference.errors.iter().find(|(name, _)| name == corruption) else {
                return Err(ReferenceError::Unknown { reference: reference.name, corruption: corruption.clone() });
            };
            if errors.len() != SEVERITIES {
                let (corruption, severities) = (corruption.clone(), errors.len());
                return Err(ReferenceError::Severities { reference: reference.name, corruption, severities });
            }
            divisors.push(*error);
        }
        let relative = |clean: f64| {
            let own = self.by_corruption().into_iter().zip(&divisors);
            own.map(|(own, error)| (own - clean) / (error - reference.clean)).collect()
        };
        Ok(Normalised {
            by_corruption: self.normalised(&divisors)?,
            relative_by_corruption: clean.map_or(Vec::new(), relative),
            is_whole: divisors.len() == reference.errors.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These corruptions at five severities, with errors around that multiple of AlexNet's.
    fn times_alexnet(names: &[&str], factor: f64) -> CorruptionErrors {
        let mut errors = CorruptionErrors::default();
        for (name, error) in ALEXNET.errors.iter().filter(|(name, _)| names.contains(name)) {
            (-2..=2).for_each(|step| errors.add(name, error * factor + f64::from(step) * 0.01));
        }
        errors
    }

    #[test]
    fn relative_error_is_what_corruption_adds() {
        let mut errors = CorruptionErrors::default();
        for (name, error) in [("fog", 0.2), ("fog", 0.4), ("snow", 0.5), ("snow", 0.7)] {
            errors.add(name, error);
        }
        assert!((errors.mean() - 0.45).abs() < 1e-12 && (errors.relative(0.1) - 0.35).abs() < 1e-12);
        assert_eq!(errors.rows()[1].0, "snow");
        assert!(errors.normalised(&[0.6, 0.]).is_err() && errors.normalised(&[0.6]).is_err());
        assert_eq!(CorruptionErrors::default().mean(), 0.);
    }

    #[test]
    fn alexnet_itself_has_an_mce_of_one() -> Result<(), ReferenceError> {
        let names = ALEXNET.errors.map(|(name, _)| name);
        let own = times_alexnet(&names, 1.).normalised_by(&ALEXNET, Some(ALEXNET.clean))?;
        assert!((own.mean() - 1.).abs() < 1e-12 && (own.relative_mean() - 1.).abs() < 1e-12 && own.is_whole);
        let half = times_alexnet(&names, 0.5).normalised_by(&ALEXNET, None)?;
        assert!((half.mean() - 0.5).abs() < 1e-12 && half.relative_by_corruption.is_empty());
        Ok(())
    }

    #[test]
    fn what_is_less_than_the_benchmark_is_told() {
        let two = times_alexnet(&["fog", "snow"], 0.5);
        assert!(!two.normalised_by(&ALEXNET, None).unwrap().is_whole && !two.is_benchmark());
        let all = ALEXNET.errors.map(|(name, _)| name);
        let mut errors = times_alexnet(&all, 0.5);
        assert!(errors.is_benchmark());
        errors.rows[3].1.pop();
        assert!(!errors.is_benchmark());
        let error = errors.normalised_by(&ALEXNET, None).unwrap_err().to_string();
        assert_eq!(error, "defocus_blur was measured at 4 of 5 severities, AlexNet's error is the mean over all");
        errors.rows[3].0 = "spatter".to_string();
        assert_eq!(errors.normalised_by(&ALEXNET, None).unwrap_err().to_string(), "AlexNet has no error under \"spatter\"");
    }
}
