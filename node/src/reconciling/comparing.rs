//! The comparison of one range: equal sums end it, otherwise the ids are halved until few are left, and those are compared one by
//! one. Work is bounded whatever the other side says.

use jisr_proto::ident::ExchangeId;

use crate::form::{LISTED_MAX, PAGE_MAX, Told};
use crate::pairing::{Item, Range, Sum, Survey};

/// Differences that are judged in one comparison: more add nothing to what a finding says.
const DIFFERENCES_MAX: usize = 4096;

/// Why a comparison ends early.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The peer cannot be asked now, or this node cannot.
    Away(String),
    /// The peer says what does not hold together. An exchange that began meanwhile can look so, too.
    Contradiction(String),
}

/// An exchange of which the two sides say different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The exchange.
    pub exchange: ExchangeId,
    /// What this ledger holds.
    pub ours: Option<Item>,
    /// What the peer says that it holds.
    pub theirs: Option<Item>,
}

/// Both sides of a comparison.
pub(super) trait Sides {
    /// What the own ledger holds of a range, with so many items.
    async fn own(&self, range: &Range, items_max: usize) -> Result<Survey, Stop>;
    /// What the peer says of it.
    async fn ask(&mut self, range: &Range) -> Result<Told, Stop>;
}

/// Compares answered exchanges: halves what differs until it is listed. `own`: the sum of the own ledger over the whole.
pub(super) async fn bisect(sides: &mut impl Sides, whole: Range, own: Sum) -> Result<Vec<Difference>, Stop> {
    let mut found = Vec::new();
    let mut parts = vec![(whole, own, sides.ask(&whole).await?)];
    while let Some((range, own, told)) = parts.pop() {
        if own == told.sum {
            continue;
        }
        if told.sum.count <= LISTED_MAX as u64 {
            let survey = sides.own(&range, DIFFERENCES_MAX).await?;
            if survey.sum != told.sum {
                differ(&survey.items, &told.items, &mut found);
            }
            if found.len() >= DIFFERENCES_MAX {
                break;
            }
            continue;
        }
        let Some((lower, upper)) = range.halves() else {
            return Err(contradiction("there are more exchanges than ids"));
        };
        let (told_lower, told_upper) = (sides.ask(&lower).await?, sides.ask(&upper).await?);
        if told_lower.sum.count.checked_add(told_upper.sum.count) != Some(told.sum.count) {
            return Err(contradiction("parts of a window do not add up to it"));
        }
        parts.push((upper, sides.own(&upper, 0).await?.sum, told_upper));
        parts.push((lower, sides.own(&lower, 0).await?.sum, told_lower));
    }
    Ok(found)
}

/// Compares unanswered exchanges: reads through what the peer lists. Few come to that, and of those most differ honestly: a
/// consumer that gave up holds nothing of what the provider said afterwards.
pub(super) async fn walk(
    sides: &mut impl Sides,
    asked_by_us: bool,
    whole: Range,
    own: Sum,
) -> Result<Vec<Difference>, Stop> {
    let mut found = Vec::new();
    let mut rest = Some(whole);
    while let Some(range) = rest {
        let told = sides.ask(&range).await?;
        if range == whole && told.sum == own {
            break;
        }
        let is_last = told.items.len() as u64 == told.sum.count;
        let end = told.items.last().map(|item| item.exchange).filter(|_| !is_last);
        let page = end.map_or(range, |end| range.up_to(&end));
        let survey = sides.own(&page, DIFFERENCES_MAX + PAGE_MAX).await?;
        let mut differences = Vec::new();
        differ(&survey.items, &told.items, &mut differences);
        found.extend(differences.into_iter().filter(|one| is_telling(one, asked_by_us)));
        if found.len() >= DIFFERENCES_MAX {
            break;
        }
        rest = end.and_then(|end| range.after(&end));
    }
    Ok(found)
}

/// Whether a difference of an unanswered exchange says anything. The consumer's word without a provider's statement does not: it
/// asked, and what came of that it does not know.
fn is_telling(difference: &Difference, asked_by_us: bool) -> bool {
    let (consumer, provider) = if asked_by_us {
        (&difference.ours, &difference.theirs)
    } else {
        (&difference.theirs, &difference.ours)
    };
    match (consumer, provider) {
        (Some(consumer), None) => consumer.closing.is_some(),
        (Some(consumer), Some(provider)) => consumer.closing.is_some() || consumer.asked != provider.asked,
        (None, _) => true,
    }
}

/// What the peer said does not hold together.
pub(super) fn contradiction(text: &str) -> Stop {
    Stop::Contradiction(text.to_owned())
}

/// Appends what two lists in order of their ids hold differently.
fn differ(ours: &[Item], theirs: &[Item], found: &mut Vec<Difference>) {
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    loop {
        let exchange = match (ours.peek(), theirs.peek()) {
            (None, None) => return,
            (Some(one), None) | (None, Some(one)) => one.exchange,
            (Some(one), Some(other)) => one.exchange.min(other.exchange),
        };
        let one = ours.next_if(|item| item.exchange == exchange).copied();
        let other = theirs.next_if(|item| item.exchange == exchange).copied();
        if one != other {
            found.push(Difference {
                exchange,
                ours: one,
                theirs: other,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: (u64, u64) = (600_000, 1_200_000);

    /// Two lists, and a peer who may alter what it says of the second.
    struct Lists {
        ours: Vec<Item>,
        theirs: Vec<Item>,
        unanswered: bool,
        calls: u64,
        alter: fn(u64, &mut Told),
    }

    impl Sides for Lists {
        async fn own(&self, range: &Range, items_max: usize) -> Result<Survey, Stop> {
            let items: Vec<Item> = in_range(&self.ours, range);
            Ok(Survey {
                sum: Sum::of(&items),
                rows: items.len() as u64,
                items: items.into_iter().take(items_max).collect(),
                open: false,
            })
        }

        async fn ask(&mut self, range: &Range) -> Result<Told, Stop> {
            self.calls += 1;
            let items = in_range(&self.theirs, range);
            let listed = match (self.unanswered, items.len()) {
                (true, _) => PAGE_MAX,
                (false, count) if count <= LISTED_MAX => count,
                (false, _) => 0,
            };
            let mut told = Told {
                sum: Sum::of(&items),
                items: items.into_iter().take(listed).collect(),
            };
            (self.alter)(self.calls, &mut told);
            Ok(told)
        }
    }

    fn in_range(items: &[Item], range: &Range) -> Vec<Item> {
        items
            .iter()
            .filter(|item| range.holds(&item.exchange))
            .copied()
            .collect()
    }

    fn item(nth: u64, leaf: u8) -> Item {
        let at_us = WINDOW.0 * 1_000 + nth * 599_000_000 / 10_000;
        let random = jisr_certs::digest::sha256(&[&nth.to_be_bytes()]);
        Item {
            exchange: ExchangeId::new_v7(at_us, random.first_chunk().copied().unwrap()),
            asked: [leaf; 32],
            closing: Some([9; 32]),
        }
    }

    fn items(count: u64) -> Vec<Item> {
        let mut items: Vec<Item> = (0..count).map(|nth| item(nth * 10_000 / count, 1)).collect();
        items.sort_unstable_by_key(|item| item.exchange);
        items
    }

    fn whole() -> Range {
        Range::of_time(WINDOW.0, WINDOW.1)
    }

    async fn compare(lists: &mut Lists) -> Result<Vec<Difference>, Stop> {
        let own = Sum::of(&lists.ours);
        if lists.unanswered {
            walk(lists, true, whole(), own).await
        } else {
            bisect(lists, whole(), own).await
        }
    }

    fn honest(ours: Vec<Item>, theirs: Vec<Item>, unanswered: bool) -> Lists {
        Lists {
            ours,
            theirs,
            unanswered,
            calls: 0,
            alter: |_, _| {},
        }
    }

    #[test]
    fn lists_differ_in_what_one_lacks_and_in_what_both_hold_otherwise() {
        let ours = [item(1, 1), item(2, 1), item(4, 1), item(5, 1)];
        let theirs = [item(1, 1), item(2, 2), item(3, 1), item(5, 1), item(6, 1)];
        let mut found = Vec::new();
        differ(&ours, &theirs, &mut found);
        let sides: Vec<_> = found
            .iter()
            .map(|one| (one.ours.is_some(), one.theirs.is_some()))
            .collect();
        assert_eq!(sides, [(true, true), (false, true), (true, false), (false, true)]);
    }

    #[tokio::test]
    async fn windows_that_are_equal_take_one_call() {
        for unanswered in [false, true] {
            let mut lists = honest(items(5_000), items(5_000), unanswered);
            assert_eq!(compare(&mut lists).await, Ok(Vec::new()));
            assert_eq!(lists.calls, 1);
        }
    }

    #[tokio::test]
    async fn one_withheld_of_a_thousand_is_found_in_few_calls_on_either_side() {
        for unanswered in [false, true] {
            for at in [0, 1, 499, 998, 999] {
                let all = items(1_000);
                let mut fewer = all.clone();
                let withheld = fewer.remove(at);
                let mut theirs_lacks = honest(all.clone(), fewer.clone(), unanswered);
                let found = compare(&mut theirs_lacks).await.unwrap();
                assert_eq!(found.len(), 1);
                assert_eq!((found[0].ours, found[0].theirs), (Some(withheld), None));
                assert!(theirs_lacks.calls <= 11, "{}", theirs_lacks.calls);
                let mut ours_lacks = honest(fewer, all, unanswered);
                let found = compare(&mut ours_lacks).await.unwrap();
                assert_eq!(found.len(), 1);
                assert_eq!((found[0].ours, found[0].theirs), (None, Some(withheld)));
                assert!(ours_lacks.calls <= 11, "{}", ours_lacks.calls);
            }
        }
    }

    #[tokio::test]
    async fn several_differences_are_all_found() {
        for unanswered in [false, true] {
            let (mut ours, mut theirs) = (items(3_000), items(3_000));
            ours.remove(10);
            theirs.remove(2_000);
            theirs[1_500].asked = [2; 32];
            let found = compare(&mut honest(ours, theirs, unanswered)).await.unwrap();
            assert_eq!(found.len(), 3);
        }
    }

    #[tokio::test]
    async fn a_ledger_that_lost_everything_is_found_without_reading_it_whole() {
        for unanswered in [false, true] {
            let mut lists = honest(items(9_000), Vec::new(), unanswered);
            let found = compare(&mut lists).await.unwrap();
            assert!((4_096..=5_120).contains(&found.len()), "{}", found.len());
            assert_eq!(lists.calls, 1);
            let mut lists = honest(Vec::new(), items(9_000), unanswered);
            assert!(compare(&mut lists).await.unwrap().len() >= 4_096);
        }
    }

    #[tokio::test]
    async fn a_consumer_that_gave_up_does_not_differ() {
        let provider = items(3_000);
        let mut consumer = provider.clone();
        for item in consumer.iter_mut().step_by(3) {
            item.closing = None;
        }
        let mut lists = honest(consumer.clone(), provider.clone(), true);
        assert_eq!(compare(&mut lists).await, Ok(Vec::new()));
        assert_eq!(lists.calls, 3);
        // What never reached the provider does not differ either.
        let fewer: Vec<Item> = provider.iter().skip(3).step_by(3).copied().collect();
        let of_them: Vec<Item> = consumer.iter().step_by(3).copied().collect();
        assert_eq!(compare(&mut honest(of_them, fewer, true)).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_peer_that_contradicts_itself_ends_the_comparison() {
        let alters: [fn(u64, &mut Told); 3] = [
            // Always something else, and always too many to list.
            |call, told| {
                told.sum.count = 1 << 40;
                told.sum.root = [u8::try_from(call % 251).unwrap(); 32];
                told.items.clear();
            },
            |call, told| told.sum.count += 1_000 * (call % 2),
            |_, told| told.sum.count = u64::MAX,
        ];
        for alter in alters {
            let mut lists = Lists {
                ours: items(2_000),
                theirs: items(1_999),
                unanswered: false,
                calls: 0,
                alter,
            };
            let told = compare(&mut lists).await;
            assert!(matches!(told, Err(Stop::Contradiction(_))), "{told:?}");
            assert!(lists.calls < 10);
        }
    }
}
