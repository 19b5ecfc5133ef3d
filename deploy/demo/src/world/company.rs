//! Companies that employ foreigners.

use time::{Date, Duration};

use super::World;
use super::mrz::check_digit;
use super::stream::{Stream, Topic, scatter};

/// What the controller of companies says of a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanyState {
    /// Doing business.
    Active,
    /// Suspended.
    Suspended,
    /// In liquidation.
    InLiquidation,
    /// Struck off.
    StruckOff,
}

/// Who holds a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A person, by personal or national number.
    Person(String),
    /// A company, by national number.
    Company(String),
}

/// A company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    /// National number of the establishment, nine digits.
    pub number: String,
    /// Name in Arabic.
    pub name_ar: String,
    /// Name in English.
    pub name_en: String,
    /// Legal form: `LLC`, `PARTNERSHIP` or `SOLE`.
    pub form: &'static str,
    /// Main activity, ISIC Rev. 4 class.
    pub activity: &'static str,
    /// State today.
    pub state: CompanyState,
    /// Day of registration.
    pub registered: Date,
    /// ISO 3166-2.
    pub governorate: &'static str,
    /// Registered capital in fils.
    pub capital_fils: i64,
    /// Holders and their shares in millionths, largest first, 1 000 000 together.
    pub holders: Vec<(Holder, u32)>,
}

/// Governorates by weight.
pub(super) const GOVERNORATES: &[(u32, &str)] = &[
    (45, "JO-AM"),
    (15, "JO-IR"),
    (14, "JO-AZ"),
    (6, "JO-BA"),
    (5, "JO-MA"),
    (3, "JO-KA"),
    (4, "JO-AQ"),
    (2, "JO-MD"),
    (2, "JO-JA"),
    (2, "JO-AJ"),
    (1, "JO-MN"),
    (1, "JO-AT"),
];

const BRANDS: &[(&str, &str)] = &[
    ("الأرز", "Al-Arz"),
    ("النخيل", "Al-Nakheel"),
    ("الياسمين", "Al-Yasmeen"),
    ("السنديان", "Al-Sindyan"),
    ("البتراء", "Petra"),
    ("جرش", "Jerash"),
    ("الرواد", "Al-Rowad"),
    ("المستقبل", "Al-Mustaqbal"),
    ("الأمانة", "Al-Amana"),
    ("الاتحاد", "Al-Ittihad"),
    ("النور", "Al-Nour"),
    ("الفجر", "Al-Fajr"),
    ("الوادي", "Al-Wadi"),
    ("الشمال", "Al-Shamal"),
    ("رم", "Rum"),
    ("الأقصى", "Al-Aqsa"),
    ("المدينة", "Al-Madina"),
    ("الهلال", "Al-Hilal"),
    ("الثقة", "Al-Thiqa"),
    ("الإتقان", "Al-Itqan"),
    ("الريان", "Al-Rayyan"),
    ("السلام", "Al-Salam"),
    ("الزيتونة", "Al-Zaytouna"),
    ("البركة", "Al-Baraka"),
];

const PARTNERS: &[(&str, &str)] = &[
    ("العبادي", "Abbadi"),
    ("المجالي", "Majali"),
    ("الحوراني", "Hourani"),
    ("الطراونة", "Tarawneh"),
    ("عبيدات", "Obeidat"),
    ("الخصاونة", "Khasawneh"),
    ("الفايز", "Fayez"),
    ("بني حسن", "Bani Hassan"),
    ("النسور", "Nsour"),
    ("القضاة", "Qudah"),
    ("الرفاعي", "Rifai"),
    ("حداد", "Haddad"),
];

/// ISIC Rev. 4 class, Arabic, English.
const ACTIVITIES: &[(&str, &str, &str)] = &[
    ("4100", "للمقاولات الإنشائية", "Construction"),
    ("1410", "لصناعة الألبسة", "Garments"),
    ("0113", "للاستثمار الزراعي", "Agriculture"),
    ("5610", "لإدارة المطاعم", "Restaurants"),
    ("1071", "للمخابز والحلويات", "Bakeries"),
    ("4520", "لصيانة المركبات", "Vehicle Repair"),
    ("2395", "لصناعة الخرسانة والبلاط", "Concrete and Tiles"),
    ("4711", "للأسواق التجارية", "Markets"),
    ("8121", "لخدمات التنظيف", "Cleaning Services"),
    ("5510", "للفنادق والسياحة", "Hotels"),
    ("3100", "لصناعة الأثاث", "Furniture"),
    ("4923", "للنقل البري", "Road Transport"),
];

impl World {
    /// The national number of an establishment: a leading 2, seven digits, a check digit.
    pub fn company_number(&self, index: u32) -> String {
        let body = format!("2{:07}", scatter(self.seed.rotate_left(31), index, 7));
        let check = check_digit(&body);
        format!("{body}{check}")
    }

    /// The company with an index below [`World::companies`].
    pub fn company(&self, index: u32) -> Company {
        let mut random = Stream::new(self.seed, Topic::Company, index);
        let (brand_ar, brand_en) = random.pick(BRANDS);
        let (partner_ar, partner_en) = random.pick(PARTNERS);
        let (activity, activity_ar, activity_en) = *random.pick(ACTIVITIES);
        let form = random.weighted(&[(70, "LLC"), (20, "PARTNERSHIP"), (10, "SOLE")]);
        let (name_ar, name_en) = match form {
            "LLC" => (
                format!("شركة {brand_ar} و{partner_ar} {activity_ar} ذ.م.م"),
                format!("{brand_en} and {partner_en} {activity_en} LLC"),
            ),
            "PARTNERSHIP" => (
                format!("شركة {partner_ar} وشركاه {activity_ar}"),
                format!("{partner_en} and Partners {activity_en}"),
            ),
            _ => (
                format!("مؤسسة {partner_ar} {activity_ar}"),
                format!("{partner_en} {activity_en}"),
            ),
        };
        Company {
            number: self.company_number(index),
            name_ar,
            name_en,
            form,
            activity,
            state: random.weighted(&[
                (910, CompanyState::Active),
                (50, CompanyState::Suspended),
                (25, CompanyState::InLiquidation),
                (15, CompanyState::StruckOff),
            ]),
            registered: self.today - Duration::days(i64::from(random.between(3_000, 9_000))),
            governorate: random.weighted(GOVERNORATES),
            // Whole thousands of dinars; a dinar has a thousand fils.
            capital_fils: i64::from(random.between(1, 500)) * 1_000 * 1_000,
            holders: self.draw_holders(&mut random, form),
        }
    }

    fn draw_holders(&self, random: &mut Stream, form: &str) -> Vec<(Holder, u32)> {
        let count = if form == "SOLE" { 1 } else { random.between(2, 4) };
        let mut left = 1_000_000_u32;
        let mut holders = Vec::new();
        for place in 0..count {
            let share = if place + 1 == count { left } else { left / 10 * 6 };
            left -= share;
            holders.push((self.draw_holder(random), share));
        }
        holders
    }

    /// Mostly citizens, some foreigners, some companies.
    fn draw_holder(&self, random: &mut Stream) -> Holder {
        if random.permille(100) {
            return Holder::Company(self.company_number(random.skewed(self.companies())));
        }
        if random.permille(200) {
            return Holder::Person(self.personal_number(random.skewed(self.people)));
        }
        Holder::Person(format!("9{}", random.digits(9)))
    }
}

#[cfg(test)]
mod tests {
    use crate::world::sample;
    use std::collections::HashSet;

    #[test]
    fn numbers_are_nine_digits_and_belong_to_one_company() {
        let world = sample();
        let numbers: HashSet<_> = (0..world.companies()).map(|i| world.company_number(i)).collect();
        assert_eq!(numbers.len(), usize::try_from(world.companies()).unwrap());
        assert!(
            numbers
                .iter()
                .all(|n| n.len() == 9 && n.bytes().all(|b| b.is_ascii_digit()))
        );
    }

    #[test]
    fn shares_make_a_whole_and_fall() {
        let world = sample();
        for company in (0..world.companies()).map(|i| world.company(i)) {
            assert_eq!(company.holders.iter().map(|(_, share)| share).sum::<u32>(), 1_000_000);
            assert!(company.holders.is_sorted_by(|a, b| a.1 >= b.1), "{:?}", company.holders);
        }
    }
}
