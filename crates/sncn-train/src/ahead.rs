//! `read_ahead`: batches are read while the step before them is computed, so that decoding does not make training wait.
//!
//! A thread of its own asks the data set for the next batches; the work inside a batch is shared by the same threads as training.
//! What is in a batch depends on its indices and stream alone, so the order in which threads work changes nothing.

use crate::data::{Batch, DataError, Dataset};
use sncn_core::Seed;
use std::sync::mpsc::sync_channel;
use std::thread;

/// Batches that wait for training at most.
const WAITING: usize = 2;

/// A batch to read: the indices of its examples, and the stream of its augmentation.
pub(crate) type Order = (Vec<usize>, Option<Seed>);

/// Calls `consume` with the batches of these orders, one after another, which are read ahead of it; it may stop early.
pub(crate) fn read_ahead<T>(
    data: &dyn Dataset,
    orders: impl Iterator<Item = Order> + Send,
    consume: impl FnOnce(&mut dyn Iterator<Item = Result<Batch, DataError>>) -> T,
) -> T {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        scope.spawn(move || {
            for (indices, augment) in orders {
                let batch = data.batch(&indices, augment);
                let is_last = batch.is_err();
                // nobody waits any more where training has stopped
                if sender.send(batch).is_err() || is_last {
                    return;
                }
            }
        });
        consume(&mut receiver.into_iter())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Numbers; the one after the last cannot be read.
    struct Numbers {
        last: usize,
        read: AtomicUsize,
    }

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            self.last
        }

        fn batch(&self, indices: &[usize], _augment: Option<Seed>) -> Result<Batch, DataError> {
            self.read.fetch_add(1, Ordering::SeqCst);
            if indices[0] > self.last {
                return Err(DataError::other(format!("there is no {}", indices[0])));
            }
            let labels: Vec<u32> = indices.iter().map(|&index| index as u32).collect();
            Ok(Batch::new(Tensor::new(labels.as_slice(), &Device::Cpu)?, labels))
        }
    }

    #[test]
    fn batches_come_in_order_up_to_the_first_that_cannot_be_read() {
        let numbers = Numbers { last: 30, read: AtomicUsize::new(0) };
        let orders = (0..100).map(|index| (vec![index], None));
        let (labels, error) = read_ahead(&numbers, orders, |batches| {
            let (mut labels, mut error) = (Vec::new(), None);
            for batch in batches {
                match batch {
                    Ok(batch) => labels.extend(batch.labels),
                    Err(failed) => error = Some(failed.to_string()),
                }
            }
            (labels, error)
        });
        assert_eq!(labels, (0..=30).collect::<Vec<_>>());
        assert_eq!(error.unwrap(), "there is no 31");
        assert_eq!(numbers.read.load(Ordering::SeqCst), 32);
    }

    #[test]
    fn reading_stops_with_its_reader_and_is_bounded() {
        let numbers = Numbers { last: usize::MAX, read: AtomicUsize::new(0) };
        let first =
            read_ahead(&numbers, (0..).map(|index| (vec![index], None)), |batches| batches.next().unwrap().unwrap().labels);
        assert_eq!(first, [0]);
        // the one taken, those that waited, and the one in hand
        assert!(numbers.read.load(Ordering::SeqCst) <= 2 + WAITING + 1);
    }
}
