//! Streams of random numbers, one for each topic and index.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is about. The numbers are part of the world: a changed one changes everybody.
#[derive(Debug, Clone, Copy)]
pub(super) enum Topic {
    Person = 1,
    Company = 2,
    Residence = 3,
    Work = 4,
    Contributions = 5,
    Fitness = 6,
    Clearance = 7,
    Movements = 8,
}

/// The random numbers behind one fact.
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    pub(super) fn new(seed: u64, topic: Topic, index: u32) -> Self {
        let mut key = [0; 32];
        let (first, rest) = key.split_at_mut(8);
        first.copy_from_slice(&seed.to_le_bytes());
        let (second, rest) = rest.split_at_mut(8);
        second.copy_from_slice(&(topic as u64).to_le_bytes());
        let (third, _) = rest.split_at_mut(8);
        third.copy_from_slice(&u64::from(index).to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// True in so many cases of a thousand.
    pub(super) fn permille(&mut self, chance: u32) -> bool {
        self.0.random_range(0..1_000) < chance
    }

    /// From `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i32, high: i32) -> i32 {
        self.0.random_range(low..=high)
    }

    /// One of a list that is not empty.
    pub(super) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        let index = self.0.random_range(0..list.len());
        list.get(index).expect("the range is the list's")
    }

    /// One of a list, by weight. The weights' sum is not zero.
    pub(super) fn weighted<T: Copy>(&mut self, list: &[(u32, T)]) -> T {
        let sum: u32 = list.iter().map(|(weight, _)| weight).sum();
        let mut left = self.0.random_range(0..sum);
        for (weight, item) in list {
            if left < *weight {
                return *item;
            }
            left -= weight;
        }
        unreachable!("the number drawn is below the sum of the weights")
    }

    /// Below `limit`, small numbers more often: a few companies employ many.
    pub(super) fn skewed(&mut self, limit: u32) -> u32 {
        let unit: f64 = self.0.random_range(0.0..1.0);
        // The product is below `limit` since `unit` is below 1.
        (unit * unit * f64::from(limit)) as u32
    }

    /// Digits, the first of them not zero.
    pub(super) fn digits(&mut self, count: u32) -> String {
        let low = 10_u64.pow(count - 1);
        self.0.random_range(low..low * 10).to_string()
    }
}

/// A bijection on the numbers of so many digits that depends on the seed: numbers that are given out look unordered and do not
/// repeat for indexes of at most that many digits.
pub(super) fn scatter(seed: u64, index: u32, digits: u32) -> u64 {
    // Neither 2 nor 5 divides the factor, so the multiplication can be undone modulo a power of ten.
    const FACTOR: u64 = 61_803_399;
    let space = 10_u64.pow(digits);
    (u64::from(index) % space * FACTOR + seed % space) % space
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn scattered_numbers_do_not_repeat() {
        for digits in [5, 7, 8] {
            let seen: HashSet<u64> = (0..50_000).map(|i| scatter(u64::MAX, i, digits)).collect();
            assert_eq!(seen.len(), 50_000);
        }
    }

    #[test]
    fn streams_differ_by_topic_and_index_and_repeat_otherwise() {
        let draw = |topic, index| Stream::new(1, topic, index).digits(15);
        assert_eq!(draw(Topic::Person, 3), draw(Topic::Person, 3));
        assert_ne!(draw(Topic::Person, 3), draw(Topic::Person, 4));
        assert_ne!(draw(Topic::Person, 3), draw(Topic::Company, 3));
    }
}
