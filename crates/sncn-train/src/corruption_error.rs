//! `CorruptionErrors`: the errors of one network under corruptions × severities, and their means
//! (Hendrycks & Dietterich 2019, arXiv 1903.12261, section 4.1).

/// Reference errors that cannot be divided by.
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
}

/// Errors as fractions: one row for each corruption with a value for each severity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CorruptionErrors {
    rows: Vec<(String, Vec<f64>)>,
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0., 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
