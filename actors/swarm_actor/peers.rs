//! Who is in the roster, by what is heard: pure, on the monotonic clock.
//!
//! Holds true: a member has said what it can do, has been heard lately, and has a node's name that nobody had before it;
//! what is kept of a peer is bounded, whatever it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::swarm::{Announcement, Availability, Capabilities, Heard, Misdeed, PeerId, Progress, Said};
use crate::task::NodeId;

use super::bounds::{bounded, short, sized};
use super::early::Early;
use super::{Believed, History, Member, News};

/// A peer that misses so many availabilities is gone; half a one more for jitter.
const MISSED: f64 = 3.5;
/// Peers that are known at once. Past it one that is connected takes the place of the one that is not and was silent for
/// the longest; others are strangers until one goes.
const MAX_PEERS: usize = 2000;
/// Of them those that only others have told of, which may be made up. Fewer: nodes that this one can't reach are not known.
const MAX_THROUGH_OTHERS: usize = 500;
/// A peer that said something false is not believed in that for this long.
const DISTRUSTED_FOR: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(super) struct Peers {
    own_name: NodeId,
    /// Between two availabilities.
    interval: Duration,
    known: BTreeMap<PeerId, Known>,
    /// Whose each name is: the first one's that is there.
    names: BTreeMap<NodeId, PeerId>,
    early: Early,
}

#[derive(Debug, Default)]
struct Known {
    capabilities: Option<Arc<Capabilities>>,
    availability: Option<(Availability, Instant)>,
    /// Of the tasks that it works on.
    progress: Vec<Progress>,
    is_connected: bool,
    /// When it last said anything or came; `None` only before that.
    heard: Option<Instant>,
    no_claims_until: Option<Instant>,
    no_tasks_until: Option<Instant>,
    /// That its name is another's was said.
    is_called_thief: bool,
}

/// What follows on something heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Follows {
    News(News),
    /// The peer uses the name of a node that is there.
    NameTaken {
        peer: PeerId,
        name: NodeId,
    },
    /// The peer uses this node's name.
    OwnNameTaken {
        peer: PeerId,
    },
    RosterChanged,
}

impl Peers {
    pub(super) fn new(own_name: NodeId, interval: Duration) -> Self {
        Self { own_name, interval, known: BTreeMap::new(), names: BTreeMap::new(), early: Early::default() }
    }

    pub(super) fn hear(&mut self, heard: Heard, now: Instant) -> Vec<Follows> {
        match heard {
            Heard::Connected { peer } => self.connected(&peer, now),
            Heard::Disconnected { peer } => self.disconnected(&peer),
            Heard::Synced { .. } | Heard::OwnHead { .. } => Vec::new(),
            Heard::Said { author, said } => self.said(author, said, now),
        }
    }

    /// The network is gone; the peers are not, for all that is known.
    pub(super) fn disconnect_all(&mut self) {
        self.known.values_mut().for_each(|known| known.is_connected = false);
    }

    fn connected(&mut self, peer: &PeerId, now: Instant) -> Vec<Follows> {
        if !self.known.contains_key(peer) && self.known.len() >= MAX_PEERS {
            let through_others = self.known.iter().filter(|(_, known)| !known.is_connected);
            let silent = through_others.min_by_key(|(_, known)| known.heard).map(|(peer, _)| peer.clone());
            let Some(silent) = silent else { return Vec::new() };
            self.forget(&silent);
        }
        let known = self.known.entry(peer.clone()).or_default();
        (known.is_connected, known.heard) = (true, Some(now));
        vec![Follows::RosterChanged]
    }

    fn disconnected(&mut self, peer: &PeerId) -> Vec<Follows> {
        if let Some(known) = self.known.get_mut(peer) {
            known.is_connected = false;
        }
        vec![Follows::RosterChanged]
    }

    /// One of whom only others tell finds less room.
    fn known_or_new(&mut self, peer: &PeerId) -> Option<&mut Known> {
        if !self.known.contains_key(peer) {
            let through_others = self.known.values().filter(|known| !known.is_connected).count();
            if self.known.len() >= MAX_PEERS || through_others >= MAX_THROUGH_OTHERS {
                return None;
            }
        }
        Some(self.known.entry(peer.clone()).or_default())
    }

    fn forget(&mut self, peer: &PeerId) {
        self.known.remove(peer);
        self.names.retain(|_, owner| owner != peer);
        self.early.forget(peer);
    }

    fn said(&mut self, author: PeerId, said: Said, now: Instant) -> Vec<Follows> {
        let Some(known) = self.known_or_new(&author) else { return Vec::new() };
        known.heard = Some(now);
        match said {
            Said::Capabilities(capabilities) => known.capabilities = Some(Arc::new(bounded(capabilities))),
            Said::Availability(availability) => {
                let max_tasks = known.capabilities.as_ref().map(|it| it.max_tasks);
                let availability = sized(availability, max_tasks);
                known.progress.retain(|it| availability.tasks.contains(&it.task));
                known.availability = Some((availability, now));
            }
            Said::Progress(progress) => known.see_progress(progress),
            // Whoever looks at trails heard it.
            Said::AuditHead(_) | Said::Contradiction(_) => return Vec::new(),
            said => return self.news(author, said, now),
        }
        let mut follows = self.name(&author);
        follows.push(Follows::RosterChanged);
        follows.extend(self.early_news(&author, now));
        follows
    }

    fn news(&mut self, from: PeerId, said: Said, now: Instant) -> Vec<Follows> {
        let is_member = self.is_member(&from, now);
        let Some(known) = self.known.get(&from) else { return Vec::new() };
        if !is_member {
            self.early.keep(&from, said);
            return Vec::new();
        }
        let believed = known.believed(now);
        let is_believed = match &said {
            Said::TasksSeen(_) => believed.tasks,
            Said::Task(Announcement::Claimed { .. }) => believed.claims,
            _ => true,
        };
        if is_believed { vec![Follows::News(News { from, said })] } else { Vec::new() }
    }

    /// What a peer said before it was known who it is.
    fn early_news(&mut self, peer: &PeerId, now: Instant) -> Vec<Follows> {
        if !self.is_member(peer, now) {
            return Vec::new();
        }
        let early = self.early.take(peer);
        early.flat_map(|said| self.news(peer.clone(), said, now)).collect()
    }

    /// Gives the peer the name that it says, if nobody has it.
    fn name(&mut self, peer: &PeerId) -> Vec<Follows> {
        let Some(known) = self.known.get_mut(peer) else { return Vec::new() };
        let Some(name) = known.capabilities.as_ref().map(|it| it.node.clone()) else { return Vec::new() };
        self.names.retain(|other, owner| owner != peer || *other == name);
        let is_own = name == self.own_name;
        if !is_own && self.names.entry(name.clone()).or_insert_with(|| peer.clone()) == peer {
            known.is_called_thief = false;
            return Vec::new();
        }
        if std::mem::replace(&mut known.is_called_thief, true) {
            return Vec::new();
        }
        let peer = peer.clone();
        vec![if is_own { Follows::OwnNameTaken { peer } } else { Follows::NameTaken { peer, name } }]
    }

    fn is_member(&self, peer: &PeerId, now: Instant) -> bool {
        let Some(Known { capabilities: Some(capabilities), availability: Some((_, heard)), .. }) =
            self.known.get(peer)
        else {
            return false;
        };
        self.names.get(&capabilities.node) == Some(peer) && !self.is_silent(*heard, now)
    }

    /// Whether the peer has said nothing else of itself since.
    pub(super) fn is_still(&self, peer: &PeerId, capabilities: &Arc<Capabilities>) -> bool {
        let now = self.known.get(peer).and_then(|known| known.capabilities.as_ref());
        now.is_some_and(|now| Arc::ptr_eq(now, capabilities))
    }

    fn is_silent(&self, heard: Instant, now: Instant) -> bool {
        now.duration_since(heard) > self.interval.mul_f64(MISSED)
    }

    /// Lets go of those that fell silent; says whether there were any.
    pub(super) fn forget_silent(&mut self, now: Instant) -> bool {
        let is_silent = |known: &Known| match &known.availability {
            Some((_, heard)) => self.is_silent(*heard, now),
            // What it can do may be on its way.
            None => !known.is_connected && known.heard.is_none_or(|heard| self.is_silent(heard, now)),
        };
        let silent: Vec<PeerId> =
            self.known.iter().filter(|(_, known)| is_silent(known)).map(|(peer, _)| peer.clone()).collect();
        for peer in &silent {
            let is_in_use = |known: &Known| known.is_connected || known.is_distrusted(now);
            match self.known.get_mut(peer).filter(|known| is_in_use(known)) {
                Some(known) => {
                    known.availability = None;
                    self.names.retain(|_, owner| owner != peer);
                }
                None => self.forget(peer),
            }
        }
        !silent.is_empty()
    }

    /// Whether all that are connected have said who they are.
    pub(super) fn are_all_known(&self) -> bool {
        let is_known = |known: &Known| known.capabilities.is_some() && known.availability.is_some();
        self.known.values().filter(|known| known.is_connected).all(is_known)
    }

    /// From now on what it says of such things does not count, for a while.
    pub(super) fn distrust(&mut self, peer: &PeerId, misdeed: Misdeed, now: Instant) {
        let Some(known) = self.known.get_mut(peer) else { return };
        let until = Some(now + DISTRUSTED_FOR);
        match misdeed {
            Misdeed::FalseClaim => known.no_claims_until = until,
            Misdeed::FalseTask => known.no_tasks_until = until,
            Misdeed::StolenName => {}
        }
    }

    /// Of their trails nothing is known here.
    pub(super) fn members(&self, now: Instant) -> BTreeMap<PeerId, Member> {
        let member = |(peer, known): (&PeerId, &Known)| {
            let (capabilities, (availability, last_heard)) =
                (known.capabilities.clone()?, known.availability.clone()?);
            self.is_member(peer, now).then(|| {
                let (is_connected, believed) = (known.is_connected, known.believed(now));
                let progress = known.progress.clone();
                let member = Member {
                    capabilities,
                    availability,
                    progress,
                    last_heard,
                    is_connected,
                    believed,
                    history: History::default(),
                };
                (peer.clone(), member)
            })
        };
        self.known.iter().filter_map(member).collect()
    }
}

impl Known {
    fn see_progress(&mut self, mut progress: Progress) {
        let works_on = |(it, _): &(Availability, Instant)| it.tasks.contains(&progress.task);
        if self.availability.as_ref().is_some_and(works_on) {
            progress.phase = short(&progress.phase);
            self.progress.retain(|it| it.task != progress.task);
            self.progress.push(progress);
        }
    }

    fn believed(&self, now: Instant) -> Believed {
        let is_over = |until: Option<Instant>| until.is_none_or(|until| now >= until);
        Believed { claims: is_over(self.no_claims_until), tasks: is_over(self.no_tasks_until) }
    }

    fn is_distrusted(&self, now: Instant) -> bool {
        self.believed(now) != Believed { claims: true, tasks: true }
    }
}

/// For tests of whatever looks at the roster.
#[cfg(test)]
pub(crate) fn capabilities(node: &str, repositories: &[&str]) -> Capabilities {
    let watched = |repo: &&str| crate::ports::swarm::Watched { repo: repo.parse().unwrap(), elsewhere: None };
    Capabilities {
        node: node.parse().unwrap(),
        version: "1".into(),
        labels: vec![],
        languages: vec![],
        models: vec!["coder".into()],
        max_tasks: 3,
        repositories: repositories.iter().map(watched).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_actor::bounds::{MAX_NAME_BYTES, MAX_NAMES, MAX_SLOTS, MAX_TASKS};
    use crate::task::TaskId;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn peers() -> Peers {
        Peers::new("me".parse().unwrap(), INTERVAL)
    }

    fn peer(name: &str) -> PeerId {
        name.parse().unwrap()
    }

    fn says(author: &str, said: Said) -> Heard {
        Heard::Said { author: peer(author), said }
    }

    fn introduces(peers: &mut Peers, author: &str, node: &str, now: Instant) -> Vec<Follows> {
        let mut follows = peers.hear(says(author, Said::Capabilities(capabilities(node, &["a/b"]))), now);
        follows.extend(peers.hear(says(author, Said::Availability(Availability::default())), now));
        follows.retain(|it| *it != Follows::RosterChanged);
        follows
    }

    fn claimed(number: u64) -> Said {
        let task = format!("a/b#{number}").parse().unwrap();
        Said::Task(Announcement::Claimed { task, epoch: crate::task::Epoch::FIRST })
    }

    fn nodes(peers: &Peers, now: Instant) -> Vec<String> {
        peers.members(now).values().map(|it| it.capabilities.node.to_string()).collect()
    }

    #[test]
    fn how_far_a_peer_is_counts_while_it_works_on_that() {
        let (mut peers, now) = (peers(), Instant::now());
        introduces(&mut peers, "x", "one", now);
        let task = |number: u64| format!("a/b#{number}").parse::<TaskId>().unwrap();
        let says_progress = |number, steps| {
            let (task, phase) = (task(number), "running\nquickly".into());
            says("x", Said::Progress(Progress { task, epoch: crate::task::Epoch::FIRST, phase, steps }))
        };
        let works_on = |numbers: &[u64]| {
            let tasks = numbers.iter().map(|number| task(*number)).collect();
            says("x", Said::Availability(Availability { free_slots: 1, tasks }))
        };
        let shown = |peers: &Peers| {
            let progress = peers.members(now).remove(&peer("x")).unwrap().progress;
            progress.into_iter().map(|it| (it.task.number, it.steps)).collect::<Vec<_>>()
        };
        peers.hear(says_progress(1, 1), now);
        assert_eq!(shown(&peers), [], "it does not say that it works on that");
        peers.hear(works_on(&[1, 2]), now);
        for (number, steps) in [(1, 1), (2, 7), (1, 2)] {
            peers.hear(says_progress(number, steps), now);
        }
        assert_eq!(shown(&peers), [(2, 7), (1, 2)]);
        peers.hear(works_on(&[1]), now);
        assert_eq!(shown(&peers), [(1, 2)]);
    }

    #[test]
    fn a_peer_that_falls_silent_leaves_after_three_missed_availabilities() {
        let (mut peers, start) = (peers(), Instant::now());
        introduces(&mut peers, "x", "one", start);
        peers.hear(Heard::Connected { peer: peer("x") }, start);
        let after = |missed: f64| start + INTERVAL.mul_f64(missed);
        assert!(!peers.forget_silent(after(3.4)));
        assert_eq!(nodes(&peers, after(3.4)), ["one"]);
        assert_eq!(nodes(&peers, after(3.6)), [""; 0]);
        assert!(peers.forget_silent(after(3.6)), "that it is connected counts for nothing");
        peers.hear(says("x", Said::Availability(Availability::default())), after(4.0));
        assert_eq!(nodes(&peers, after(4.0)), ["one"], "it is known yet what it can do");
        peers.hear(Heard::Disconnected { peer: peer("x") }, after(4.0));
        assert!(peers.forget_silent(after(8.0)));
        assert!(peers.known.is_empty());
    }

    #[test]
    fn the_first_of_a_name_has_it_until_it_is_gone() {
        let (mut peers, start) = (peers(), Instant::now());
        assert_eq!(introduces(&mut peers, "x", "one", start), []);
        let taken = Follows::NameTaken { peer: peer("y"), name: "one".parse().unwrap() };
        assert_eq!(introduces(&mut peers, "y", "one", start), [taken], "said once");
        assert_eq!(introduces(&mut peers, "y", "one", start), []);
        assert_eq!(peers.members(start).into_keys().collect::<Vec<_>>(), [peer("x")]);
        let later = start + INTERVAL * 4;
        peers.hear(says("y", Said::Availability(Availability::default())), later);
        peers.forget_silent(later);
        peers.hear(says("y", Said::Availability(Availability::default())), later);
        assert_eq!(peers.members(later).into_keys().collect::<Vec<_>>(), [peer("y")]);
    }

    #[test]
    fn who_has_this_nodes_name_is_no_member() {
        let (mut peers, now) = (peers(), Instant::now());
        assert_eq!(introduces(&mut peers, "x", "me", now), [Follows::OwnNameTaken { peer: peer("x") }]);
        assert_eq!(nodes(&peers, now), [""; 0]);
    }

    #[test]
    fn what_was_said_before_a_peer_was_known_is_news_then_and_bounded() {
        let (mut peers, now) = (peers(), Instant::now());
        for number in 1..1000 {
            assert_eq!(peers.hear(says("x", claimed(number)), now), []);
        }
        let news = introduces(&mut peers, "x", "one", now);
        assert!((512..999).contains(&news.len()), "{}", news.len());
        let news = Follows::News(News { from: peer("x"), said: claimed(1) });
        assert_eq!(peers.hear(says("x", claimed(1)), now), [news]);
    }

    #[test]
    fn a_liar_is_not_believed_for_an_hour_and_only_in_what_it_lied() {
        let (mut peers, now) = (peers(), Instant::now());
        introduces(&mut peers, "x", "one", now);
        peers.distrust(&peer("x"), Misdeed::FalseClaim, now);
        assert_eq!(peers.hear(says("x", claimed(1)), now), []);
        let believed = |peers: &Peers, now| peers.members(now)[&peer("x")].believed;
        assert_eq!(believed(&peers, now), Believed { claims: false, tasks: true });
        let later = now + DISTRUSTED_FOR;
        peers.forget_silent(later - INTERVAL);
        introduces(&mut peers, "x", "one", later);
        assert_eq!(believed(&peers, later), Believed { claims: true, tasks: true });
        assert_eq!(peers.hear(says("x", claimed(1)), later).len(), 1);
    }

    #[test]
    fn what_a_peer_says_of_itself_is_bounded() {
        let (mut peers, now) = (peers(), Instant::now());
        let mut boasts = capabilities("one", &["a/b"]);
        boasts.max_tasks = u32::MAX;
        boasts.models = vec!["x\u{1b}[2J\n".repeat(1000); 1000];
        peers.hear(says("x", Said::Capabilities(boasts)), now);
        let task = "a/b#1".parse().unwrap();
        let availability = Availability { free_slots: u32::MAX, tasks: vec![task; 10_000] };
        peers.hear(says("x", Said::Availability(availability)), now);
        let member = &peers.members(now)[&peer("x")];
        assert_eq!((member.availability.free_slots, member.availability.tasks.len()), (MAX_SLOTS, MAX_TASKS));
        assert_eq!(member.capabilities.models.len(), MAX_NAMES);
        assert!(
            member.capabilities.models.iter().all(|it| it.len() <= MAX_NAME_BYTES && !it.contains('\u{1b}'))
        );
        for number in 0..2 * MAX_PEERS {
            peers.hear(Heard::Connected { peer: peer(&format!("p{number}")) }, now);
        }
        assert_eq!(peers.known.len(), MAX_PEERS);
    }

    #[test]
    fn peers_that_only_others_tell_of_leave_room_for_those_that_come() {
        let (mut peers, start) = (peers(), Instant::now());
        for number in 0..2 * MAX_PEERS {
            introduces(&mut peers, &format!("made{number}"), &format!("made-{number}"), start);
        }
        assert_eq!(peers.members(start).len(), MAX_THROUGH_OTHERS);
        let now = start + INTERVAL;
        introduces(&mut peers, "made7", "made-7", now);
        for number in 0..MAX_PEERS - 1 {
            peers.hear(Heard::Connected { peer: peer(&format!("p{number}")) }, now);
            introduces(&mut peers, &format!("p{number}"), &format!("p-{number}"), now);
        }
        assert_eq!(peers.members(now).len(), MAX_PEERS);
        let through_others = peers.members(now).into_iter().filter(|(_, member)| !member.is_connected);
        assert_eq!(through_others.map(|(peer, _)| peer).collect::<Vec<_>>(), [peer("made7")]);
        assert_eq!(introduces(&mut peers, "other", "made-8", now), [], "there is no room for it");
        assert_eq!(peers.names.len(), MAX_PEERS, "the names of those that went are free");
    }

    #[test]
    fn what_a_peer_that_is_not_connected_says_waits_for_what_it_can_do() {
        let (mut peers, start) = (peers(), Instant::now());
        peers.hear(says("x", claimed(1)), start);
        assert!(!peers.forget_silent(start + INTERVAL));
        let news = introduces(&mut peers, "x", "one", start + INTERVAL);
        assert_eq!(news, [Follows::News(News { from: peer("x"), said: claimed(1) })]);
        peers.hear(says("y", claimed(1)), start);
        assert!(peers.forget_silent(start + INTERVAL * 4));
        assert!(!peers.known.contains_key(&peer("y")));
    }
}
