//! The audit trails: what this node says of its own, and what it does about the others' and about what others hold of its
//! own. [`super::witness`] decides; the journal keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::ports::journal::{Journal, JournalError, NodeEvent, Witnessed};
use crate::ports::swarm::{Contradiction, Heard, PeerId, Said, SwarmError, Voice};
use crate::trail::{Key, Signature, TrailHead};

use super::network::contained;
use super::witness::{Answer, Contradicted, Finding, Question, Witness};
use super::{Network, SwarmActor};

/// Of a call of the journal. Past it the call is made again later.
const JOURNAL_LIMIT: Duration = Duration::from_secs(60);
/// The network has a time limit of its own, which is shorter.
const ASK_LIMIT: Duration = Duration::from_secs(60);
/// Heads of this node's own trail that wait to be looked up, one of each peer that names one. Of more, some are lost, and said
/// again within a day.
const MAX_UNCHECKED: usize = 1000;
/// Contradictions that are said to all: their nodes are to know. More than these are no accident of nodes.
const MAX_SAID: usize = 64;

/// Whether an ed25519 signature of these bytes is by that key.
pub type Verifier = fn(&Key, &[u8], &Signature) -> bool;

#[derive(Debug, Default)]
pub(super) struct Trails {
    pub(super) witness: Witness,
    is_loading: bool,
    /// As it was said last.
    head: Option<TrailHead>,
    /// What the journal is to keep, of each peer.
    to_keep: BTreeMap<PeerId, Keep>,
    is_keeping: bool,
    /// Heads that may be this node's own. Of those that one names, the furthest.
    unchecked: BTreeMap<(Source, PeerId), TrailHead>,
    is_checking: bool,
    has_said_other_key: bool,
    next_look: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Keep {
    witnessed: Witnessed,
    event: Option<NodeEvent>,
}

/// Who says that this node signed a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// An earlier life of this node, in the journal.
    Journal,
    /// This node's own word, signed by its key in the swarm.
    OwnWord,
    /// A peer: only the signatures count.
    Peer,
}

/// What the journal says of such a head.
enum Checked {
    Holds,
    /// Not this node's.
    Strange,
    /// This node's audit key was another one.
    OtherKey,
    Lost {
        own: TrailHead,
    },
}

impl SwarmActor {
    /// A network that was just opened: those who hear it know nothing of what was said in the one before.
    pub(super) fn introduce_trail(&mut self, ctx: &mut Context<Self>) {
        self.trails.head = None;
        self.say_audit_head(ctx);
        self.say_contradictions();
        self.load_witnessed(ctx);
    }

    /// Only what the journal holds durably: a crash takes nothing of it back. A node that knows that its history is lost says
    /// no more: each head would be one of a second history, and no newer data brought back would make up for that.
    pub(super) fn say_audit_head(&self, ctx: &mut Context<Self>) {
        if self.lost.is_some() {
            return;
        }
        let journal = self.deps.log.journal().clone();
        let head = async move { contained(JOURNAL_LIMIT, journal.trail_head()).await };
        ctx.spawn(head.into_actor(self).map(|head, actor, _| {
            let Ok(Ok(head)) = head else { return };
            let is_further = actor.trails.head.is_none_or(|said| said.mark.place() < head.mark.place());
            // With the network away it would be lost.
            if matches!(actor.network, Network::Open { .. }) && is_further {
                actor.trails.head = Some(head);
                actor.say(Said::AuditHead(head));
            }
        }));
    }

    fn say_contradictions(&mut self) {
        let contradicted = self.trails.witness.contradicted().take(MAX_SAID);
        let said: Vec<Said> = contradicted
            .map(|(of, witnessed)| Said::Contradiction(Contradiction { of: of.clone(), witnessed }))
            .collect();
        said.into_iter().for_each(|said| self.say(said));
    }

    pub(super) fn load_witnessed(&mut self, ctx: &mut Context<Self>) {
        let Network::Open { me, .. } = &self.network else { return };
        if self.trails.witness.is_loaded() || std::mem::replace(&mut self.trails.is_loading, true) {
            return;
        }
        let (me, journal) = (me.clone(), self.deps.log.journal().clone());
        let loaded = async move { contained(JOURNAL_LIMIT, journal.witnessed()).await };
        ctx.spawn(loaded.into_actor(self).map(move |loaded, actor, ctx| {
            actor.trails.is_loading = false;
            let loaded = match loaded {
                Ok(Ok(loaded)) => loaded,
                Ok(Err(error)) => return debug!(%error, "the trails that were witnessed can't be read yet"),
                Err(error) => return debug!(%error, "the trails that were witnessed can't be read yet"),
            };
            let (own, others): (Vec<_>, Vec<_>) = loaded.into_iter().partition(|it| it.peer == me);
            for Witnessed { head, .. } in own {
                // An earlier life knew that it was lost. It may have been brought back.
                actor.check_own(Source::Journal, me.clone(), head, ctx);
            }
            let findings = actor.trails.witness.load(others);
            actor.follow_findings(findings, ctx);
            actor.say_contradictions();
            actor.publish();
        }));
    }

    pub(super) fn see_trails(&mut self, heard: &Heard, ctx: &mut Context<Self>) {
        let Network::Open { me, .. } = &self.network else { return };
        let witness = &mut self.trails.witness;
        let finding = match heard {
            Heard::Connected { peer } => witness.connected(peer),
            Heard::Disconnected { peer } => {
                witness.disconnected(peer);
                None
            }
            Heard::Synced { with } => {
                witness.synced(with);
                None
            }
            Heard::Said { author, said: Said::AuditHead(head) } => witness.hear(author, *head),
            Heard::Said { author, said: Said::Contradiction(it) } if it.of == *me => {
                return self.check_own(Source::Peer, author.clone(), it.witnessed, ctx);
            }
            Heard::Said { author, said: Said::Contradiction(it) } => {
                debug!(by = author.short(), of = %it.of, head = %it.witnessed.mark, "a peer says that another one's history was changed");
                return;
            }
            Heard::OwnHead { head } => {
                return self.check_own(Source::OwnWord, me.clone(), *head, ctx);
            }
            Heard::Said { .. } => return,
        };
        self.follow_findings(finding, ctx);
        self.ask(ctx);
    }

    /// At each tick.
    pub(super) fn mind_trails(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let unproven = self.trails.witness.look(now);
        if !unproven.is_empty() {
            self.follow_findings(unproven, ctx);
            self.publish();
        }
        self.ask(ctx);
        // What failed is tried again.
        if self.trails.next_look.is_none_or(|at| now >= at) {
            self.trails.next_look = Some(now + self.deps.interval);
            self.load_witnessed(ctx);
            self.keep_next(ctx);
            self.check_next(ctx);
        }
    }

    fn ask(&mut self, ctx: &mut Context<Self>) {
        let Network::Open { voice, .. } = &self.network else { return };
        for question in self.trails.witness.questions(Instant::now()) {
            let (voice, verify) = (voice.clone(), self.deps.verify);
            let asked = async move { (answer(&*voice, &question, verify).await, question) };
            ctx.spawn(asked.into_actor(self).map(|(answer, question), actor, ctx| {
                if answer != Answer::Holds {
                    debug!(peer = question.peer.short(), from = %question.from.mark, to = %question.to.mark, ?answer, "no proof of a peer's history");
                }
                let finding = actor.trails.witness.answered(&question, answer, Instant::now());
                actor.follow_findings(finding, ctx);
                actor.ask(ctx);
            }));
        }
    }

    fn follow_findings(&mut self, findings: impl IntoIterator<Item = Finding>, ctx: &mut Context<Self>) {
        for finding in findings {
            match finding {
                Finding::Proven(peer) => {
                    self.keep(&peer, None, ctx);
                    self.publish_soon(ctx);
                }
                Finding::Unproven(peer) => warn!(
                    peer = peer.short(),
                    "a peer has not proven for a day that its audit trail goes on from what this node saw of it"
                ),
                Finding::Contradicted(found) => {
                    let Contradicted { peer, witnessed, shown, why } = *found;
                    error!(
                        %peer, seen = %witnessed.mark, shown = %shown.mark, why,
                        "a peer's history is contradicted: its audit trail does not go on from what it signed before; its \
                         journal was rolled back or rewritten, or somebody else has its key"
                    );
                    let event = NodeEvent::PeerContradicted { peer: peer.clone(), witnessed, shown, why };
                    self.keep(&peer, Some(event), ctx);
                    if witnessed.key == shown.key {
                        self.say(Said::Contradiction(Contradiction { of: peer, witnessed }));
                    }
                    self.publish();
                }
            }
        }
    }

    fn keep(&mut self, peer: &PeerId, event: Option<NodeEvent>, ctx: &mut Context<Self>) {
        let at_ms = (self.deps.wall_clock_ms)();
        if let Some(witnessed) = self.trails.witness.record(peer, at_ms) {
            self.put_aside(Keep { witnessed, event });
            self.keep_next(ctx);
        }
    }

    /// In place of what waits for the same peer, whose event is not to be lost.
    fn put_aside(&mut self, mut keep: Keep) {
        let peer = keep.witnessed.peer.clone();
        let before = self.trails.to_keep.remove(&peer);
        keep.event = keep.event.or(before.and_then(|it| it.event));
        self.trails.to_keep.insert(peer, keep);
    }

    fn keep_next(&mut self, ctx: &mut Context<Self>) {
        if self.trails.is_keeping {
            return;
        }
        let Some((_, keep)) = self.trails.to_keep.pop_first() else { return };
        self.trails.is_keeping = true;
        let journal = self.deps.log.journal().clone();
        let kept = async move {
            let kept = contained(JOURNAL_LIMIT, record(&*journal, &keep)).await;
            (kept, keep)
        };
        ctx.spawn(kept.into_actor(self).map(|(kept, keep), actor, ctx| {
            actor.trails.is_keeping = false;
            let why = match kept {
                Ok(Ok(())) => return actor.keep_next(ctx),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            warn!(
                peer = keep.witnessed.peer.short(),
                why, "what was seen of an audit trail is not recorded yet"
            );
            // Unless there is something newer. Tried again at the next look.
            let newer = actor.trails.to_keep.remove(&keep.witnessed.peer);
            actor.put_aside(keep);
            newer.into_iter().for_each(|newer| actor.put_aside(newer));
        }));
    }

    fn check_own(&mut self, source: Source, by: PeerId, head: TrailHead, ctx: &mut Context<Self>) {
        if self.lost.is_none() && self.trails.unchecked.len() < MAX_UNCHECKED {
            let waiting = self.trails.unchecked.entry((source, by)).or_insert(head);
            if waiting.mark.place() < head.mark.place() {
                *waiting = head;
            }
            self.check_next(ctx);
        }
    }

    fn check_next(&mut self, ctx: &mut Context<Self>) {
        if self.trails.is_checking {
            return;
        }
        let Some(((source, by), head)) = self.trails.unchecked.pop_first() else { return };
        self.trails.is_checking = true;
        let journal = self.deps.log.journal().clone();
        let checked = async move { contained(JOURNAL_LIMIT, check(&*journal, source, head)).await };
        ctx.spawn(checked.into_actor(self).map(move |checked, actor, ctx| {
            actor.trails.is_checking = false;
            match checked {
                Ok(Ok(Checked::Holds)) => {}
                Ok(Ok(Checked::Strange)) => {
                    debug!(peer = by.short(), "a peer says that this node signed what it did not");
                }
                Ok(Ok(Checked::OtherKey)) => actor.warn_of_other_key(),
                Ok(Ok(Checked::Lost { own })) => actor.lose_history(source, head, own, ctx),
                Ok(Err(_)) | Err(_) => {
                    // Looked up again at the next look, unless another one is named by then.
                    actor.trails.unchecked.entry((source, by)).or_insert(head);
                    return;
                }
            }
            actor.check_next(ctx);
        }));
    }

    fn warn_of_other_key(&mut self) {
        if !std::mem::replace(&mut self.trails.has_said_other_key, true) {
            warn!(
                "under this node's key in the swarm heads of another journal were signed: its data folder was made anew in \
                 part; other nodes will call its history contradicted"
            );
        }
    }

    fn lose_history(
        &mut self,
        source: Source,
        witnessed: TrailHead,
        own: TrailHead,
        ctx: &mut Context<Self>,
    ) {
        if self.lost.replace(witnessed).is_some() {
            return;
        }
        error!(
            witnessed = %witnessed.mark, own = %own.mark,
            "this node's journal was tampered with or lost: other nodes hold a head that it signed and that its journal does not \
             lead to. It takes no more tasks. Stop it, and bring back the newer data folder; if that is gone, begin with an empty \
             one, as a new node"
        );
        self.publish();
        let Network::Open { me, .. } = &self.network else { return };
        if source == Source::Journal {
            return;
        }
        let at_ms = (self.deps.wall_clock_ms)();
        // Kept like what is seen of others, so that the next life knows it before anybody says so.
        let witnessed_own =
            Witnessed { peer: me.clone(), head: witnessed, at_ms, contradicted_by: Some(own) };
        let event = Some(NodeEvent::OwnHistoryLost { witnessed, own });
        self.put_aside(Keep { witnessed: witnessed_own, event });
        self.keep_next(ctx);
    }
}

async fn answer(voice: &dyn Voice, question: &Question, verify: Verifier) -> Answer {
    let Question { peer, from, to, .. } = question;
    let growth = match contained(ASK_LIMIT, voice.ask_growth(peer, from.mark, to.mark)).await {
        Ok(Ok(growth)) => growth,
        Ok(Err(SwarmError::NoProof)) => return Answer::Refused,
        Ok(Err(_)) | Err(_) => return Answer::Silent,
    };
    match growth.check(from, to, &verify) {
        Ok(()) => Answer::Holds,
        Err(why) => Answer::DoesNotHold(why),
    }
}

/// The event first: a peer that is kept as contradicted has its event in the journal.
async fn record(journal: &dyn Journal, keep: &Keep) -> Result<(), JournalError> {
    if let Some(event) = &keep.event {
        journal.note(event.clone()).await?;
    }
    journal.witness(keep.witnessed.clone()).await
}

async fn check(journal: &dyn Journal, source: Source, head: TrailHead) -> Result<Checked, JournalError> {
    let own = journal.trail_head().await?;
    if head.key != own.key {
        return Ok(if source == Source::Peer { Checked::Strange } else { Checked::OtherKey });
    }
    if source == Source::Peer && !journal.has_signed(&head).await? {
        return Ok(Checked::Strange);
    }
    Ok(if journal.leads_to(head.mark).await? { Checked::Holds } else { Checked::Lost { own } })
}
