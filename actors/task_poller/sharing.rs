//! Who looks at a repository: pure, on the monotonic clock.
//!
//! Of the nodes that watch it the first by rendezvous hashing does, and says what it saw. The others look for themselves
//! when it falls silent, each a little later than the one before it, and seldom in any case: what the first one says is its
//! word only.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::swarm::PeerId;
use crate::swarm_actor::rendezvous::{chance, score};
use crate::swarm_actor::{Member, Roster};
use crate::task::RepoId;

/// How long each node gives the one before it for its first look.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// Silent nodes ahead of this one that it waits for, each for its pause; for all further ones together it waits one pause
/// more. More: whoever makes up nodes keeps the honest ones from looking for longer. Less: many look at once when the first
/// fall silent.
const MAX_AHEAD: u32 = 8;
/// No node waits longer for others that are silent.
const LONGEST_SILENCE: Duration = Duration::from_secs(2 * 3600);
/// For each look of the first node, all others together make so many parts of one. More: the swarm asks more than one node
/// would. Less: what a lying first node hides is found later.
const SHARE_OF_OTHERS: f64 = 0.05;
/// All others together look at least this often, whatever pause the first one names.
const LONGEST_CHECK: Duration = Duration::from_secs(2 * 3600);
/// No node leaves a repository to others' word for longer. Shorter: a swarm of many nodes asks more than one node would.
const LONGEST_FALLBACK: Duration = Duration::from_secs(24 * 3600);

/// Whether nothing has changed that the order depends on.
pub(super) fn is_alike(one: &Roster, other: &Roster) -> bool {
    let is_alike = |((one, a), (other, b)): ((&PeerId, &Member), (&PeerId, &Member))| {
        one == other
            && a.believed.tasks == b.believed.tasks
            && a.is_connected == b.is_connected
            && a.capabilities == b.capabilities
    };
    one.me == other.me
        && one.members.len() == other.members.len()
        && one.members.iter().zip(&other.members).all(is_alike)
}

/// This node's part in looking at a repository.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// Those whose turn comes before this node's.
    ahead: BTreeSet<PeerId>,
    /// With whom it shares the looks beside the first one's: those that are connected, as nobody makes up a connection. At
    /// least one.
    others: u32,
    /// Spreads the looks of those that are not first.
    spread: f64,
}

/// The looks at a repository that this node knows of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looks {
    /// Its own last one.
    pub(super) own: Option<Instant>,
    /// The last one of a node that comes before it, and when that meant to look again.
    pub(super) heard: Option<(Instant, Duration)>,
}

impl Part {
    pub(super) fn alone() -> Self {
        Self { ahead: BTreeSet::new(), others: 1, spread: 0.0 }
    }

    pub(super) fn of(repo: &RepoId, roster: &Roster) -> Self {
        let Some(me) = &roster.me else { return Self::alone() };
        let thing = repo.to_string().to_ascii_lowercase();
        let mine = score(&thing, me, 1.0);
        let others = roster.watching(repo).filter(|(_, member)| member.believed.tasks);
        let (count, ahead) = others.fold((0, BTreeSet::new()), |(count, mut ahead), (peer, member)| {
            if (score(&thing, peer, 1.0), peer) > (mine, me) {
                ahead.insert(peer.clone());
            }
            (count + u32::from(member.is_connected), ahead)
        });
        Self { ahead, others: count.max(1), spread: chance(&thing, me) }
    }

    pub(super) fn is_first(&self) -> bool {
        self.ahead.is_empty()
    }

    pub(super) fn is_ahead(&self, peer: &PeerId) -> bool {
        self.ahead.contains(peer)
    }

    /// When this node is to look. `from`: when it began to watch; `pace`: its own, between two looks.
    pub(super) fn due(&self, looks: &Looks, from: Instant, pace: Duration) -> Instant {
        let heard = looks.heard.filter(|(at, _)| looks.own.is_none_or(|own| own < *at));
        if self.is_first() {
            // It goes on where the one before it left off.
            return heard.map_or(from, |(at, next_in)| at + next_in);
        }
        let next_in = heard.map_or(pace, |(_, next_in)| next_in);
        let silence = match looks.own.max(heard.map(|(at, _)| at)) {
            None => from + FIRST_PATIENCE.mul_f64(self.pauses()),
            Some(last) => last + next_in.mul_f64(self.pauses() + 1.0).min(LONGEST_SILENCE.max(2 * next_in)),
        };
        let check = next_in.mul_f64(1.0 / SHARE_OF_OTHERS).min(LONGEST_CHECK);
        let fallback = (check * self.others).min(LONGEST_FALLBACK);
        let own = looks.own.map_or(from + fallback.mul_f64(self.spread), |own| own + fallback);
        silence.min(own)
    }

    /// Of those ahead, all of which are silent.
    fn pauses(&self) -> f64 {
        let ahead = u32::try_from(self.ahead.len()).unwrap_or(u32::MAX);
        // Those beyond the last that counts don't all look at once.
        let more = if ahead > MAX_AHEAD { self.spread } else { 0.0 };
        f64::from(ahead.min(MAX_AHEAD)) + more
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ports::swarm::Availability;
    use crate::swarm_actor::peers::capabilities;
    use crate::swarm_actor::{Believed, History};

    const MINUTE: Duration = Duration::from_secs(60);

    fn repo() -> RepoId {
        "a/b".parse().unwrap()
    }

    /// Of `count` nodes, as the one at `at` sees them.
    fn part(count: usize, at: usize) -> Part {
        among(count, at, 0)
    }

    /// With so many more that nobody is connected to.
    fn among(count: usize, at: usize, made_up: usize) -> Part {
        let peer = |number: usize| format!("p{number}").parse::<PeerId>().unwrap();
        let member = |number: usize| Member {
            capabilities: Arc::new(capabilities(&format!("n{number}"), &["A/B"])),
            availability: Availability::default(),
            progress: Vec::new(),
            last_heard: Instant::now(),
            is_connected: number < count,
            believed: Believed { claims: true, tasks: true },
            history: History::default(),
        };
        let others =
            (0..count + made_up).filter(|number| *number != at).map(|number| (peer(number), member(number)));
        let roster =
            Roster { me: Some(peer(at)), members: others.collect(), is_settled: true, ..Roster::default() };
        Part::of(&repo(), &roster)
    }

    fn in_order(count: usize) -> Vec<Part> {
        let mut parts: Vec<Part> = (0..count).map(|at| part(count, at)).collect();
        parts.sort_by_key(|part| part.ahead.len());
        parts
    }

    #[test]
    fn all_agree_on_the_order() {
        let parts = in_order(7);
        assert!(parts.iter().map(|part| part.ahead.len()).eq(0..7));
        assert!(parts[0].is_first() && part(1, 0).is_first() && Part::alone().is_first());
    }

    #[test]
    fn at_first_each_gives_the_one_before_it_a_moment() {
        let from = Instant::now();
        let due = |part: &Part| part.due(&Looks::default(), from, MINUTE).duration_since(from).as_secs();
        assert_eq!(in_order(4).iter().map(due).collect::<Vec<_>>(), [0, 5, 10, 15]);
    }

    #[test]
    fn when_the_first_falls_silent_the_second_looks_after_twice_its_pause() {
        let from = Instant::now();
        let heard = Looks { own: None, heard: Some((from + MINUTE, 3 * MINUTE)) };
        let due = |part: &Part| part.due(&heard, from, MINUTE).duration_since(from + MINUTE) / 60;
        let parts = in_order(4);
        assert_eq!(due(&parts[1]).as_secs(), 6);
        assert_eq!(due(&parts[2]).as_secs(), 9);
        let took_over = Part { ahead: BTreeSet::new(), ..parts[1].clone() };
        assert_eq!(due(&took_over).as_secs(), 3, "it has become the first and keeps the pace");
    }

    #[test]
    fn made_up_nodes_put_off_no_look_for_long() {
        let from = Instant::now();
        for made_up in [50, 2000] {
            let of_three = (0..3).map(|at| among(3, at, made_up));
            for part in of_three.filter(|part| part.ahead.len() > usize::try_from(MAX_AHEAD).unwrap()) {
                let due = |looks: Looks| part.due(&looks, from, 5 * MINUTE).duration_since(from);
                assert!(due(Looks::default()) <= 9 * FIRST_PATIENCE, "nobody says anything");
                let silent = Looks { own: Some(from), heard: None };
                assert!(due(silent) <= 50 * MINUTE, "{:?}", due(silent));
                let slow = Looks { own: None, heard: Some((from, 30 * MINUTE)) };
                assert!(due(slow) <= LONGEST_SILENCE, "{:?}", due(slow));
                // One of them says every ten minutes that there is nothing: the three look in turn all the same.
                let lied_to =
                    |at: u32| Looks { own: Some(from), heard: Some((from + 10 * MINUTE * at, 10 * MINUTE)) };
                let looks_at = (1..1000).find(|at| due(lied_to(*at)) <= 10 * MINUTE * *at).unwrap();
                assert!(10 * MINUTE * looks_at <= 2 * LONGEST_CHECK, "{looks_at}");
            }
        }
    }

    #[test]
    fn however_many_they_are_they_look_hardly_more_often_than_one() {
        for count in [2, 5, 10, 20] {
            let (from, hours) = (Instant::now(), 200);
            let end = from + 60 * MINUTE * hours;
            let looks: u32 = in_order(count)[1..]
                .iter()
                .map(|part| {
                    let mut looks = Looks::default();
                    let mut made = 0;
                    let mut now = from;
                    while now < end {
                        looks.heard = Some((now, 5 * MINUTE));
                        if part.due(&looks, from, MINUTE) <= now {
                            looks.own = Some(now);
                            made += 1;
                        }
                        now += 5 * MINUTE;
                    }
                    made
                })
                .sum();
            let of_first = 12 * hours;
            assert!((of_first / 40..=of_first * 7 / 100).contains(&looks), "{count}: {looks} to {of_first}");
        }
    }
}
