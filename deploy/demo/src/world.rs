//! The made-up world behind the backends: people, companies, and what each agency knows of them.
//!
//! Everything follows from a seed, a number of people and a day. Each fact has a stream of random numbers of its own, chosen
//! by topic and index, so an agency derives the facts that it keeps without deriving the rest, and two agencies never
//! contradict each other except where the world means them to.

mod calendar;
mod cast;
mod company;
mod contributions;
mod facts;
mod mrz;
mod names;
mod person;
mod stream;

pub use calendar::{Month, add_months};
pub use cast::{Role, Scene};
pub use company::{Company, CompanyState, Holder};
pub use contributions::Contribution;
pub use facts::{Clearance, Fitness, Movement, Residence, Standing, WorkPermit};
pub use mrz::check_digit;
pub use names::{Name, Script};
pub use person::{Document, Known, Person, Purpose, Sex};

use time::Date;

/// Where the world comes from. Two worlds with equal fields are the same world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Number of foreigners, at least 1.
    pub people: u32,
    /// The day, as counted in Amman, on which permits count as valid or expired.
    pub today: Date,
}

impl World {
    /// Number of companies: one for every twenty people, at least ten.
    pub fn companies(&self) -> u32 {
        (self.people / 20).max(10)
    }

    /// Indexes of all people.
    pub fn everyone(&self) -> std::ops::Range<u32> {
        0..self.people
    }
}

#[cfg(test)]
pub(crate) fn sample() -> World {
    World {
        seed: 7,
        people: 2_000,
        today: Date::from_calendar_date(2026, time::Month::November, 23).expect("a real day"),
    }
}
