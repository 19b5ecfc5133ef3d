//! The handful of people whose work permits are renewed in the demo: one with everything in order, the others each with one
//! thing that is not.

use time::Duration;

use super::facts::{Clearance, Residence, Standing, WorkPermit};
use super::person::Person;
use super::{CompanyState, Month, World};

/// What is special about somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing: everything is in order.
    InOrder,
    /// The residence permit has run out.
    ResidenceExpired,
    /// Two months or more of the last year are unpaid.
    ContributionsMissing,
    /// The employer is suspended.
    EmployerSuspended,
    /// The clearance is to be decided by people.
    Referred,
    /// Social security never heard of the person.
    NeverInsured,
}

/// One renewal.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What is special.
    pub role: Role,
    /// Whose permit.
    pub person: Person,
    /// The permit.
    pub permit: WorkPermit,
    /// National number of the employer.
    pub company_number: String,
}

const ROLES: [Role; 6] = [
    Role::InOrder,
    Role::ResidenceExpired,
    Role::ContributionsMissing,
    Role::EmployerSuspended,
    Role::Referred,
    Role::NeverInsured,
];

/// How many people are looked at before a role stays empty; it bounds the time that a large world takes.
const SEARCHED: u32 = 20_000;

impl World {
    /// One person for each role, as far as the world has them, of different nationalities where it can be.
    pub fn cast(&self) -> Vec<Scene> {
        let mut scenes: Vec<Scene> = Vec::new();
        for role in ROLES {
            let candidates = || self.scenes().filter(|scene| self.fits(scene, role));
            let fresh = |scene: &Scene| scenes.iter().all(|s| s.person.nationality != scene.person.nationality);
            let chosen = candidates().find(fresh).or_else(|| candidates().next());
            if let Some(scene) = chosen {
                scenes.push(Scene { role, ..scene });
            }
        }
        scenes
    }

    /// Everybody whose permit is about to run out.
    fn scenes(&self) -> impl Iterator<Item = Scene> {
        self.everyone().take(SEARCHED as usize).filter_map(|index| {
            let person = self.person(index);
            let permit = self.work_permit(&person)?;
            let due = permit.until <= self.today + Duration::days(60) && permit.standing == Standing::Valid;
            let company_number = self.company_number(permit.company);
            due.then_some(Scene {
                role: Role::InOrder,
                person,
                permit,
                company_number,
            })
        })
    }

    /// Whether this role, and no other, is the person's.
    fn fits(&self, scene: &Scene, role: Role) -> bool {
        let person = &scene.person;
        let insured = !self.contributions(person).is_empty();
        let healthy = self.fitness(person).is_some_and(|f| f.until >= self.today);
        let resident = match self.residence(person) {
            Residence::Permit { standing, .. } => Some(standing),
            Residence::Unknown | Residence::NoPermit => None,
        };
        let found = [
            (Role::ResidenceExpired, resident == Some(Standing::Expired)),
            (Role::ContributionsMissing, insured && self.unpaid_months(person) >= 2),
            (
                Role::EmployerSuspended,
                self.company_state(scene.permit.company) == CompanyState::Suspended,
            ),
            (Role::Referred, self.clearance(person) == Clearance::Refer),
            (Role::NeverInsured, !insured),
        ];
        let blameless = healthy
            && matches!(resident, Some(Standing::Valid | Standing::Expired))
            && matches!(
                self.company_state(scene.permit.company),
                CompanyState::Active | CompanyState::Suspended
            )
            && (self.unpaid_months(person) == 0 || role == Role::ContributionsMissing);
        blameless && found.iter().all(|(other, is)| *is == (*other == role))
    }

    /// Months of the last twelve without a contribution, from the first one on.
    fn unpaid_months(&self, person: &Person) -> i32 {
        let paid = self.contributions(person);
        let Some(first) = paid.first() else { return 0 };
        let last = Month::of(self.today).plus(-1);
        let window = last.plus(-11).max(first.month);
        let months = last.number() - window.number() + 1;
        let counted = paid.iter().filter(|c| c.month >= window).count();
        months - i32::try_from(counted).expect("at most twelve")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn a_world_of_the_usual_size_fills_every_role() {
        for seed in [1, 2, 3] {
            let world = World {
                seed,
                people: 30_000,
                today: date!(2026 - 11 - 23),
            };
            let cast = world.cast();
            assert_eq!(cast.iter().map(|s| s.role).collect::<Vec<_>>(), ROLES, "seed {seed}");
        }
    }

    #[test]
    fn a_tiny_world_has_a_smaller_cast() {
        let world = World {
            seed: 1,
            people: 1,
            today: date!(2026 - 11 - 23),
        };
        assert!(world.cast().len() <= 1);
    }
}
