//! Social security contributions: the months that employers paid, with the gaps that occur.

use super::World;
use super::calendar::Month;
use super::person::Person;
use super::stream::{Stream, Topic};

/// A month for which an employer paid contributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contribution {
    /// The month.
    pub month: Month,
    /// Index of the employer.
    pub company: u32,
    /// Wage band, 1 to 8.
    pub band: u8,
}

impl World {
    /// The months paid for a person over the last two years, oldest first. Empty for whoever was never insured.
    pub fn contributions(&self, person: &Person) -> Vec<Contribution> {
        let Some(permit) = self.work_permit(person) else {
            return Vec::new();
        };
        let mut random = Stream::new(self.seed, Topic::Contributions, person.index);
        if random.permille(60) {
            return Vec::new();
        }
        let last = Month::of(self.today).plus(-1);
        let first = Month::of(person.arrived).max(last.plus(-23));
        let missing = if random.permille(120) { random.between(1, 4) } else { 0 };
        let gap = last.plus(-random.between(0, 11));
        let former = random
            .permille(150)
            .then(|| (last.plus(-random.between(6, 18)), random.skewed(self.companies())));
        let band = u8::try_from(random.between(1, 6)).expect("1 to 6");
        let raise = last.plus(-random.between(0, 23));
        (first.number()..=last.number())
            .map(Month::from_number)
            .filter(|month| !(gap <= *month && *month < gap.plus(missing)))
            .map(|month| Contribution {
                month,
                company: former
                    .filter(|(until, _)| month < *until)
                    .map_or(permit.company, |(_, company)| company),
                band: band + u8::from(month >= raise),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::sample;

    #[test]
    fn contributions_are_ordered_past_and_paid_by_companies_that_exist() {
        let world = sample();
        let this_month = Month::of(world.today);
        for person in world.everyone().map(|i| world.person(i)) {
            let paid = world.contributions(&person);
            assert!(paid.is_sorted_by(|a, b| a.month < b.month));
            assert!(
                paid.iter()
                    .all(|c| c.month < this_month && c.company < world.companies() && (1..=8).contains(&c.band))
            );
            if let (Some(last), Some(permit)) = (paid.last(), world.work_permit(&person)) {
                assert_eq!(
                    last.company, permit.company,
                    "the newest month is paid by the employer of the permit"
                );
            }
        }
    }
}
