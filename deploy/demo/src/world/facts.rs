//! What the agencies know of a person. Each function reads a stream of its own, so nobody has to derive what others keep.
//!
//! The gaps are meant: permits that ran out, months that nobody paid for, persons of whom one agency never heard.

use time::{Date, Duration, OffsetDateTime, Time};

use super::calendar::add_months;
use super::company::GOVERNORATES;
use super::person::{Person, Purpose};
use super::stream::{Stream, Topic};
use super::{CompanyState, World};

/// Where a permit or certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In force today.
    Valid,
    /// Its last day has passed.
    Expired,
    /// Cancelled before its last day.
    Cancelled,
}

/// What the Public Security Directorate knows of a person's residence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Residence {
    /// It never heard of the person.
    Unknown,
    /// It knows the person, who never had a permit.
    NoPermit,
    /// The newest permit.
    Permit {
        /// Number of the permit.
        number: String,
        /// Standing today.
        standing: Standing,
        /// First day.
        from: Date,
        /// Last day.
        until: Date,
        /// Governorate, ISO 3166-2.
        governorate: &'static str,
    },
}

/// A crossing of the border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Into the Kingdom, or out of it.
    pub entry: bool,
    /// When.
    pub time: OffsetDateTime,
    /// Where, UN/LOCODE.
    pub crossing: &'static str,
}

/// A work permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkPermit {
    /// Number of the permit.
    pub number: String,
    /// Index of the employer.
    pub company: u32,
    /// ISCO-08 unit group.
    pub occupation: &'static str,
    /// ISCED 2011 level.
    pub education: &'static str,
    /// Governorate, ISO 3166-2.
    pub governorate: &'static str,
    /// Standing today.
    pub standing: Standing,
    /// First day.
    pub from: Date,
    /// Last day.
    pub until: Date,
}

/// A fitness certificate: only that there is one, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fitness {
    /// Last day in force.
    pub until: Date,
}

/// The answer to a question for clearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clearance {
    /// Nothing stands against it.
    Clear,
    /// To be decided by people.
    Refer,
}

const CROSSINGS: &[(u32, &str)] = &[(60, "JOAMM"), (15, "JOAQJ"), (15, "JOJAB"), (10, "JOALO")];

/// ISCO-08 unit groups: building, farm, garments, food, cleaning, care, drivers, technicians.
const OCCUPATIONS: &[(u32, &str)] = &[
    (20, "9313"),
    (10, "7112"),
    (18, "9211"),
    (12, "8153"),
    (8, "5120"),
    (6, "7512"),
    (8, "9112"),
    (8, "9111"),
    (4, "7231"),
    (3, "8332"),
    (2, "2142"),
    (1, "2512"),
];

const EDUCATION: &[(u32, &str)] = &[(30, "1"), (35, "2"), (25, "3"), (4, "5"), (6, "6")];

impl World {
    /// What the Public Security Directorate says of a person's residence.
    pub fn residence(&self, person: &Person) -> Residence {
        let mut random = Stream::new(self.seed, Topic::Residence, person.index);
        if random.permille(15) {
            return Residence::Unknown;
        }
        if random.permille(40) {
            return Residence::NoPermit;
        }
        let (standing, until) = self.draw_end(&mut random, 110, 20);
        Residence::Permit {
            number: format!("R{}", random.digits(8)),
            standing,
            from: add_months(until, -12) + Duration::DAY,
            until,
            governorate: random.weighted(GOVERNORATES),
        }
    }

    /// A person's crossings, oldest first; the first one is an entry.
    pub fn movements(&self, person: &Person) -> Vec<Movement> {
        let mut random = Stream::new(self.seed, Topic::Movements, person.index);
        let mut day = person.arrived;
        let mut movements = Vec::new();
        for place in 0..random.between(1, 7) {
            if day >= self.today {
                break;
            }
            let seconds = u32::try_from(random.between(0, 86_399)).expect("not negative");
            movements.push(Movement {
                entry: place % 2 == 0,
                time: day.with_time(Time::MIDNIGHT).assume_utc() + Duration::seconds(i64::from(seconds)),
                crossing: random.weighted(CROSSINGS),
            });
            day += Duration::days(i64::from(random.between(20, 400)));
        }
        // Most people whom anybody asks about are here.
        let abroad = movements.last().is_some_and(|last| !last.entry);
        if abroad && random.permille(800) {
            movements.pop();
        }
        movements
    }

    /// The last day of a person's stay.
    pub fn stay_until(&self, person: &Person) -> Date {
        match self.residence(person) {
            Residence::Permit { until, .. } => until,
            Residence::Unknown | Residence::NoPermit => person.arrived + Duration::days(90),
        }
    }

    /// A person's newest work permit; those who came for something else have none.
    pub fn work_permit(&self, person: &Person) -> Option<WorkPermit> {
        let mut random = Stream::new(self.seed, Topic::Work, person.index);
        let works = match person.purpose {
            Purpose::Work => true,
            Purpose::Protection => random.permille(500),
            Purpose::Family | Purpose::Study => false,
        };
        if !works {
            return None;
        }
        let company = random.skewed(self.companies());
        let (standing, until) = self.draw_end(&mut random, 170, 30);
        Some(WorkPermit {
            number: format!("W{}", random.digits(8)),
            company,
            occupation: random.weighted(OCCUPATIONS),
            education: random.weighted(EDUCATION),
            governorate: random.weighted(GOVERNORATES),
            standing,
            from: add_months(until, -12) + Duration::DAY,
            until,
        })
    }

    /// A person's newest fitness certificate.
    pub fn fitness(&self, person: &Person) -> Option<Fitness> {
        let mut random = Stream::new(self.seed, Topic::Fitness, person.index);
        let needed = matches!(person.purpose, Purpose::Work | Purpose::Protection);
        if random.permille(if needed { 50 } else { 600 }) {
            return None;
        }
        let (_, until) = self.draw_end(&mut random, 90, 0);
        Some(Fitness { until })
    }

    /// What the General Intelligence Directorate answers about a person.
    pub fn clearance(&self, person: &Person) -> Clearance {
        let mut random = Stream::new(self.seed, Topic::Clearance, person.index);
        if random.permille(25) {
            Clearance::Refer
        } else {
            Clearance::Clear
        }
    }

    /// The state of a company.
    pub fn company_state(&self, company: u32) -> CompanyState {
        self.company(company).state
    }

    /// Whether something that lasts a year has ended, and its last day. Shares of a thousand.
    fn draw_end(&self, random: &mut Stream, expired: u32, cancelled: u32) -> (Standing, Date) {
        let days = |count: i32| Duration::days(i64::from(count));
        if random.permille(expired) {
            return (Standing::Expired, self.today - days(random.between(1, 300)));
        }
        let standing = if random.permille(cancelled) {
            Standing::Cancelled
        } else {
            Standing::Valid
        };
        (standing, self.today + days(random.between(0, 364)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::sample;

    #[test]
    fn standings_agree_with_their_last_day() {
        let world = sample();
        for person in world.everyone().map(|i| world.person(i)) {
            if let Residence::Permit {
                standing, from, until, ..
            } = world.residence(&person)
            {
                assert_eq!(standing == Standing::Expired, until < world.today);
                assert!(from < until);
            }
            if let Some(permit) = world.work_permit(&person) {
                assert_eq!(permit.standing == Standing::Expired, permit.until < world.today);
                assert!(permit.company < world.companies());
            }
        }
    }

    #[test]
    fn every_gap_occurs_and_none_prevails() {
        let world = sample();
        let people: Vec<_> = world.everyone().map(|i| world.person(i)).collect();
        let share = |what: &dyn Fn(&Person) -> bool| people.iter().filter(|p| what(p)).count() * 100 / people.len();
        let unknown = |p: &Person| world.residence(p) == Residence::Unknown;
        let uninsured = |p: &Person| world.work_permit(p).is_some() && world.contributions(p).is_empty();
        let referred = |p: &Person| world.clearance(p) == Clearance::Refer;
        for (name, found) in [
            ("unknown", share(&unknown)),
            ("uninsured", share(&uninsured)),
            ("referred", share(&referred)),
        ] {
            assert!((1..20).contains(&found), "{name}: {found} %");
        }
    }

    #[test]
    fn movements_alternate_and_lie_in_the_past() {
        let world = sample();
        for person in world.everyone().map(|i| world.person(i)) {
            let movements = world.movements(&person);
            assert!(
                movements
                    .iter()
                    .enumerate()
                    .all(|(i, m)| m.entry == (i % 2 == 0) && m.time.date() < world.today)
            );
            assert!(movements.is_sorted_by(|a, b| a.time < b.time));
        }
    }
}
