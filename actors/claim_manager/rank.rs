//! Who tries for a task first: pure. The swarm makes it cheap, the claim reference makes it right.
//!
//! Every node ranks all that watch the repository, itself included, by rendezvous hashing weighted by free places and by
//! what suits each. The first tries at once, the others later, in their order.

use std::time::Duration;

use crate::ports::swarm::{Capabilities, PeerId};
use crate::swarm_actor::Roster;
use crate::swarm_actor::rendezvous::score;
use crate::task::TaskId;

/// Each node gives the one before it this long to say that it tries. Shorter: nodes race. Longer: a task that the first can't take
/// waits.
const STEP: Duration = Duration::from_secs(3);
/// Nobody waits longer for those before it, however many they say they are.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How much more a node weighs for what it says suits it, and less for what does not.
const SUITS: f64 = 8.0;

/// What of a task the nodes choose by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traits {
    pub labels: Vec<String>,
    /// Of the repository.
    pub language: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranking {
    /// Those that may try before this node, because they have free places.
    pub(super) ahead: Vec<PeerId>,
    /// This node's place among all, with free places or without: what it would rather do comes first.
    pub(super) order: usize,
    /// Others can do it, and this node can't now.
    pub(super) is_for_others: bool,
}

impl Ranking {
    pub(super) fn delay(&self) -> Duration {
        let ahead = u32::try_from(self.ahead.len()).unwrap_or(u32::MAX);
        STEP.saturating_mul(ahead).min(LONGEST_DELAY)
    }
}

/// `free`: places that this node has.
pub(super) fn rank(task: &TaskId, traits: &Traits, roster: &Roster, free: usize) -> Ranking {
    let (Some(me), Some(own)) = (&roster.me, &roster.own) else { return Ranking::default() };
    let thing = task.to_string().to_ascii_lowercase();
    let weigh = |peer: &PeerId, capabilities: &Capabilities, free: u32| Weighed {
        now: score(&thing, peer, f64::from(free) * suit(traits, capabilities)),
        ever: score(&thing, peer, f64::from(capabilities.max_tasks) * suit(traits, capabilities)),
    };
    let mine = weigh(me, own, u32::try_from(free.max(1)).unwrap_or(u32::MAX));
    let mut ranking = Ranking::default();
    for (peer, member) in roster.watching(&task.repo).filter(|(_, member)| member.believed.claims) {
        let theirs = weigh(peer, &member.capabilities, member.availability.free_slots);
        if (theirs.now, peer) > (mine.now, me) {
            ranking.ahead.push(peer.clone());
        }
        ranking.order += usize::from((theirs.ever, peer) > (mine.ever, me));
        ranking.is_for_others |= mine.ever <= 0.0 && theirs.ever > 0.0;
    }
    ranking
}

struct Weighed {
    /// By its free places.
    now: f64,
    /// By all its places.
    ever: f64,
}

/// How well it suits a node. A node without a model can't do it.
fn suit(traits: &Traits, capabilities: &Capabilities) -> f64 {
    if capabilities.models.is_empty() {
        return 0.0;
    }
    let is_any = |wanted: &[String], has: &str| wanted.iter().any(|it| it.eq_ignore_ascii_case(has));
    let labels = &capabilities.labels;
    let by_labels = suits(labels, traits.labels.iter().any(|label| is_any(labels, label)));
    let language = traits.language.as_deref();
    let languages = &capabilities.languages;
    let by_language = suits(languages, language.is_some_and(|language| is_any(languages, language)));
    by_labels * by_language
}

fn suits(wanted: &[String], is_among: bool) -> f64 {
    match (wanted.is_empty(), is_among) {
        (true, _) => 1.0,
        (false, true) => SUITS,
        (false, false) => 1.0 / SUITS,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use crate::ports::swarm::Availability;
    use crate::swarm_actor::peers::capabilities;
    use crate::swarm_actor::{Believed, History, Member};

    pub(in crate::claim_manager) fn member(node: &str, free_slots: u32) -> Member {
        Member {
            capabilities: Arc::new(capabilities(node, &["a/b"])),
            availability: Availability { free_slots, tasks: vec![] },
            progress: Vec::new(),
            last_heard: Instant::now(),
            is_connected: true,
            believed: Believed { claims: true, tasks: true },
            history: History::default(),
        }
    }

    /// As the first of the nodes sees it.
    pub(in crate::claim_manager) fn roster(nodes: &[(&str, Member)]) -> Roster {
        let peer = |name: &str| name.parse::<PeerId>().unwrap();
        Roster {
            me: Some(peer(nodes[0].0)),
            own: Some(Capabilities::clone(&nodes[0].1.capabilities)),
            members: nodes[1..].iter().map(|(name, member)| (peer(name), member.clone())).collect(),
            is_settled: true,
            lost: None,
        }
    }

    fn task(number: u64) -> TaskId {
        TaskId::new("a/b".parse().unwrap(), number)
    }

    /// The names in the order in which they try, each by its own view.
    fn order(task: &TaskId, traits: &Traits, nodes: &[(&str, Member)]) -> Vec<String> {
        let mut seen: Vec<(usize, String)> = (0..nodes.len())
            .map(|at| {
                let mut nodes = nodes.to_vec();
                nodes.swap(0, at);
                let free = nodes[0].1.availability.free_slots;
                let ranking = rank(task, traits, &roster(&nodes), free.try_into().unwrap());
                (ranking.ahead.len(), nodes[0].0.to_owned())
            })
            .collect();
        seen.sort();
        assert!(seen.iter().map(|it| it.0).eq(0..nodes.len()), "all agree: {seen:?}");
        seen.into_iter().map(|it| it.1).collect()
    }

    #[test]
    fn all_agree_and_each_has_its_share() {
        let nodes: Vec<(&str, Member)> =
            ["v", "w", "x", "y", "z"].map(|name| (name, member(name, 3))).to_vec();
        let mut firsts = std::collections::BTreeMap::<String, usize>::new();
        for number in 1..=500 {
            *firsts.entry(order(&task(number), &Traits::default(), &nodes).swap_remove(0)).or_default() += 1;
        }
        assert!(firsts.values().all(|count| (70..130).contains(count)), "{firsts:?}");
    }

    #[test]
    fn what_suits_a_node_is_mostly_its() {
        let mut specialist = member("x", 3);
        Arc::make_mut(&mut specialist.capabilities).labels = vec!["Docs".into()];
        let nodes = [("v", member("v", 3)), ("x", specialist)];
        let count = |labels: &[&str]| {
            let traits = Traits { labels: labels.iter().map(|it| (*it).into()).collect(), language: None };
            (1..=300).filter(|number| order(&task(*number), &traits, &nodes)[0] == "x").count()
        };
        assert!((240..295).contains(&count(&["docs"])), "{}", count(&["docs"]));
        assert!((5..60).contains(&count(&["bug"])), "{}", count(&["bug"]));
    }

    #[test]
    fn a_repositorys_language_counts_as_a_label_does() {
        let mut specialist = member("x", 3);
        Arc::make_mut(&mut specialist.capabilities).languages = vec!["Rust".into()];
        let nodes = [("v", member("v", 3)), ("x", specialist)];
        let count = |language: &str| {
            let traits = Traits { labels: vec![], language: Some(language.into()) };
            (1..=300).filter(|number| order(&task(*number), &traits, &nodes)[0] == "x").count()
        };
        assert!(count("rust") > 240 && count("C") < 60, "{} {}", count("rust"), count("C"));
    }

    #[test]
    fn who_is_full_has_no_model_watches_other_repositories_or_lied_comes_before_nobody() {
        let full = member("w", 0);
        let mut speechless = member("x", 3);
        Arc::make_mut(&mut speechless.capabilities).models.clear();
        let mut elsewhere = member("y", 3);
        elsewhere.capabilities = Arc::new(capabilities("y", &["c/d"]));
        let mut liar = member("z", 3);
        liar.believed.claims = false;
        let nodes = [("v", member("v", 1)), ("w", full), ("x", speechless), ("y", elsewhere), ("z", liar)];
        for number in 1..=100 {
            let ranking = rank(&task(number), &Traits::default(), &roster(&nodes), 1);
            assert_eq!((ranking.ahead, ranking.is_for_others), (vec![], false), "{number}");
        }
    }

    #[test]
    fn a_node_without_a_model_leaves_it_to_those_that_have_one_even_if_they_are_full() {
        let mut me = member("v", 3);
        Arc::make_mut(&mut me.capabilities).models.clear();
        let ranking =
            rank(&task(1), &Traits::default(), &roster(&[("v", me.clone()), ("w", member("w", 0))]), 3);
        assert!(ranking.is_for_others);
        let alone = rank(&task(1), &Traits::default(), &roster(&[("v", me)]), 3);
        assert!(!alone.is_for_others, "with nobody else it does as ever");
    }

    #[test]
    fn the_delay_grows_and_is_bounded() {
        let behind = |count: usize| {
            let ahead = (0..count).map(|number| format!("p{number}").parse().unwrap()).collect();
            Ranking { ahead, ..Ranking::default() }.delay()
        };
        assert_eq!([0, 1, 2, 10, 1000].map(behind), [0, 3, 6, 30, 30].map(Duration::from_secs));
    }
}
