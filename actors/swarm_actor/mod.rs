//! `SwarmActor`: this node among the others.
//!
//! Owns: the connection to the swarm, the roster. Told: `Say`, `Announce`, `Blame`, what is heard, and what of this node
//! changes (its places, its repositories). Tells: whoever looks at its [`SwarmView`]. Holds true: nothing said here is
//! needed for a task to go on; a network that panics, hangs or ends is opened again, and nobody else notices; a node
//! without a swarm is settled at once; what is known of others' audit trails is in the journal. On a restart: the network is
//! opened anew, the roster fills again, what was seen of trails is read again.

mod backoff;
mod bounds;
mod early;
mod network;
mod own;
pub(crate) mod peers;
pub(crate) mod rendezvous;
mod roster;
mod settling;
mod trails;
mod view;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_stream;
use actix::prelude::*;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::audit_logger::AuditLog;
use crate::jitter::Jitter;
use crate::ports::swarm::{
    Announcement, Availability, Capabilities, Heard, Misdeed, OpenSwarm, PeerId, Progress, Said, Swarm,
    SwarmError, Voice,
};
use crate::reasoner_actor::Servers;
use crate::task::RepoId;
use crate::trail::TrailHead;

use backoff::Backoff;
use network::{MAX_WAITING_WORDS, Silence, Word, contained};
use own::Own;
use peers::{Follows, Peers};
use settling::Settling;
use trails::Trails;

pub use own::Profile;
pub use roster::{Believed, History, Member, Roster};
pub use trails::Verifier;
pub use view::{News, SwarmView};

/// How often is looked who fell silent, and whether it is time for a word.
const TICK: Duration = Duration::from_secs(1);
/// What peers say changes the roster no more often. Longer: nodes rank others by places that those no longer have. Shorter:
/// a flood of words costs a new roster for each.
const PUBLISH_PAUSE: Duration = Duration::from_millis(50);
/// Model servers that don't answer by then have no models for now.
const MODELS_LIMIT: Duration = Duration::from_secs(15);

/// Says something to all; lost when the network is away, unless it stands until it comes back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Say(pub Said);

#[derive(Message)]
#[rtype(result = "Result<(), SwarmError>")]
pub struct Announce(pub Announcement);

/// How far a task of this node is. Said with the next availability.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Working(pub Progress);

/// A peer was caught.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Blame {
    pub peer: PeerId,
    pub misdeed: Misdeed,
}

#[derive(Clone)]
pub struct SwarmDeps {
    pub swarm: Arc<dyn Swarm>,
    pub profile: Profile,
    pub servers: Servers,
    pub log: AuditLog,
    /// What `ClaimManager` has and does.
    pub availability: watch::Receiver<Availability>,
    /// What `TaskPoller` watches.
    pub repositories: watch::Receiver<Vec<RepoId>>,
    pub interval: Duration,
    pub jitter: Jitter,
    pub wall_clock_ms: fn() -> u64,
    pub verify: Verifier,
    pub roster: watch::Sender<Arc<Roster>>,
    pub news: broadcast::Sender<Arc<News>>,
}

pub struct SwarmActor {
    deps: SwarmDeps,
    network: Network,
    backoff: Backoff,
    peers: Peers,
    settling: Settling,
    own: Own,
    next_availability: Instant,
    is_asking_models: bool,
    trails: Trails,
    /// See [`Roster::lost`], which outlives this actor.
    lost: Option<TrailHead>,
    published: Option<Instant>,
    /// The roster is not as it was published; it will be.
    publishes_soon: bool,
}

enum Network {
    Opening,
    /// There is none, and will be none.
    None,
    Open {
        me: PeerId,
        voice: Arc<dyn Voice>,
        words: mpsc::Sender<Word>,
        /// What runs for this network alone: it ends with it, and tells nothing of the next one.
        work: [AbortHandle; 2],
    },
}

impl SwarmActor {
    pub fn new(deps: SwarmDeps) -> Self {
        let now = Instant::now();
        let (was_settled, lost) = {
            let before = deps.roster.borrow();
            (before.is_settled, before.lost)
        };
        Self {
            network: Network::Opening,
            backoff: Backoff::default(),
            peers: Peers::new(deps.profile.node.clone(), deps.interval),
            settling: Settling::new(was_settled, now),
            own: Own::default(),
            next_availability: now,
            is_asking_models: false,
            trails: Trails::default(),
            lost,
            published: None,
            publishes_soon: false,
            deps,
        }
    }

    fn open(&mut self, ctx: &mut Context<Self>) {
        let opened = network::open(self.deps.swarm.clone());
        ctx.spawn(opened.into_actor(self).map(|opened, actor, ctx| match opened {
            Ok(open) => actor.opened(open, ctx),
            Err(SwarmError::Alone) => {
                actor.network = Network::None;
                actor.settling.give_up();
                actor.publish();
            }
            Err(error) => actor.network_ended(&error.to_string(), ctx),
        }));
    }

    fn opened(&mut self, open: OpenSwarm, ctx: &mut Context<Self>) {
        let OpenSwarm { me, voice, mut heard } = open;
        info!(peer = %me, "in the swarm");
        let (words, to_say) = mpsc::channel(MAX_WAITING_WORDS);
        let (speaks, to_speak) = AbortHandle::new_pair();
        let speech = Abortable::new(network::speak(voice.clone(), to_say), to_speak).into_actor(self);
        ctx.spawn(speech.map(|silence, actor, ctx| match silence {
            Ok(Silence::Hangs) => actor.network_ended("it hangs", ctx),
            Ok(Silence::Closed) | Err(_) => {}
        }));
        let (hears, to_hear) = AbortHandle::new_pair();
        let heard = Abortable::new(stream::poll_fn(move |cx| heard.poll_recv(cx)), to_hear);
        let heard = wrap_stream::<_, Self>(heard).map(|heard, actor, ctx| actor.hear(heard, ctx));
        let is_over = hears.clone();
        ctx.spawn(heard.finish().map(move |(), actor, ctx| {
            if !is_over.is_aborted() {
                actor.network_ended("it ended", ctx);
            }
        }));
        self.network = Network::Open { me, voice, words, work: [speaks, hears] };
        self.backoff.opened(Instant::now());
        self.introduce();
        self.introduce_trail(ctx);
        self.ask_models(ctx);
        self.publish();
    }

    fn network_ended(&mut self, why: &str, ctx: &mut Context<Self>) {
        let pause = (self.deps.jitter)(self.backoff.ended(Instant::now()));
        warn!(why, again_in = ?pause, "the swarm's network is away; tasks go on");
        if let Network::Open { work, .. } = std::mem::replace(&mut self.network, Network::Opening) {
            work.iter().for_each(AbortHandle::abort);
        }
        self.peers.disconnect_all();
        self.trails.witness.disconnect_all();
        self.publish();
        ctx.run_later(pause, Self::open);
    }

    fn introduce(&mut self) {
        let availability = self.deps.availability.borrow().clone();
        for said in self.own.introduction(availability) {
            self.send(Word::Say { said, answer: None });
        }
        self.next_availability = Instant::now() + (self.deps.jitter)(self.deps.interval);
    }

    fn hear(&mut self, heard: Heard, ctx: &mut Context<Self>) {
        if let Heard::Synced { with } = &heard {
            self.settling.synced(with.clone(), Instant::now());
        }
        if let Heard::Said { said: Said::Capabilities(theirs), .. } = &heard {
            self.warn_of_work_apart(theirs);
        }
        self.see_trails(&heard, ctx);
        let follows = self.peers.hear(heard, Instant::now());
        let is_changed = follows.contains(&Follows::RosterChanged);
        // Before the news: who hears them looks at the roster.
        if follows.iter().any(|follows| self.is_of_one_not_published(follows)) {
            self.publish();
        } else if is_changed {
            self.publish_soon(ctx);
        }
        for follows in follows {
            match follows {
                // Nobody may listen.
                Follows::News(news) => drop(self.deps.news.send(Arc::new(news))),
                Follows::NameTaken { peer, name } => {
                    warn!(%peer, %name, "a peer uses the name of a node that is here: it is left out");
                    self.send(Word::Blame { peer, misdeed: Misdeed::StolenName });
                }
                Follows::OwnNameTaken { peer } => {
                    error!(%peer, name = %self.deps.profile.node, "a peer has this node's name: give one of them another node.name");
                }
                Follows::RosterChanged => {}
            }
        }
    }

    /// News of somebody who is not in the roster that others see, or was another when that was published.
    fn is_of_one_not_published(&self, follows: &Follows) -> bool {
        let Follows::News(News { from, .. }) = follows else { return false };
        let roster = self.deps.roster.borrow();
        !roster.members.get(from).is_some_and(|member| self.peers.is_still(from, &member.capabilities))
    }

    fn warn_of_work_apart(&self, theirs: &Capabilities) {
        if let Some(repo) = self.deps.profile.differs_in(&self.deps.repositories.borrow(), theirs) {
            warn!(
                node = %theirs.node, %repo,
                "a node keeps the branches or claims of a repository in another place: both may do the same tasks; give all \
                 nodes the same forge.fork"
            );
        }
    }

    fn say(&mut self, said: Said) {
        self.own.remember(&said);
        self.send(Word::Say { said, answer: None });
    }

    fn send(&self, word: Word) {
        if let Network::Open { words, .. } = &self.network
            && words.try_send(word).is_err()
        {
            debug!("too much waits to be said, a word is lost");
        }
    }

    fn say_availability(&mut self) {
        let availability = self.deps.availability.borrow().clone();
        self.own.keep_progress_of(&availability.tasks);
        self.say(Said::Availability(availability));
        self.own.news_of_progress().into_iter().for_each(|progress| self.say(Said::Progress(progress)));
        self.next_availability = Instant::now() + (self.deps.jitter)(self.deps.interval);
    }

    fn say_capabilities(&mut self) {
        let repositories = self.deps.repositories.borrow().clone();
        self.own.see_repositories(repositories);
        if let Some(capabilities) = self.own.changed(&self.deps.profile) {
            self.say(Said::Capabilities(capabilities));
            self.publish();
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let was_settled = self.deps.roster.borrow().is_settled;
        if self.peers.forget_silent(now) || self.is_settled(now) != was_settled {
            self.publish();
        }
        self.mind_trails(now, ctx);
        if matches!(self.network, Network::Open { .. }) && now >= self.next_availability {
            self.say_availability();
            self.ask_models(ctx);
            self.say_audit_head(ctx);
        }
    }

    fn ask_models(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.is_asking_models, true) {
            return;
        }
        let (servers, names) = (self.deps.servers.clone(), self.deps.profile.models.clone());
        let present = async move { contained(MODELS_LIMIT, servers.present(&names)).await };
        ctx.spawn(present.into_actor(self).map(|present, actor, _| {
            actor.is_asking_models = false;
            actor.own.see_models(present.unwrap_or_default());
            actor.say_capabilities();
        }));
    }

    fn is_settled(&mut self, now: Instant) -> bool {
        let all_are_known = self.own.capabilities.is_some() && self.peers.are_all_known();
        self.settling.is_settled(all_are_known, now)
    }

    /// At once if it was not just done.
    fn publish_soon(&mut self, ctx: &mut Context<Self>) {
        if self.publishes_soon {
            return;
        }
        let pause = self.published.map_or(Duration::ZERO, |at| PUBLISH_PAUSE.saturating_sub(at.elapsed()));
        if pause.is_zero() {
            return self.publish();
        }
        self.publishes_soon = true;
        ctx.run_later(pause, |actor, _| {
            if actor.publishes_soon {
                actor.publish();
            }
        });
    }

    fn publish(&mut self) {
        let now = Instant::now();
        (self.published, self.publishes_soon) = (Some(now), false);
        let me = match &self.network {
            Network::Open { me, .. } => Some(me.clone()),
            Network::Opening => self.deps.roster.borrow().me.clone(),
            Network::None => None,
        };
        let (own, mut members) = (self.own.capabilities.clone(), self.peers.members(now));
        for (peer, member) in &mut members {
            member.history = self.trails.witness.history(peer);
        }
        let roster = Roster { me, own, members, is_settled: self.is_settled(now), lost: self.lost };
        self.deps.roster.send_if_modified(|published| {
            let is_changed = **published != roster;
            *published = Arc::new(roster);
            is_changed
        });
    }

    /// Follows what others of this node change.
    fn follow<T: Clone + 'static>(
        &self,
        changing: watch::Receiver<T>,
        changed: fn(&mut Self),
        ctx: &mut Context<Self>,
    ) {
        let changes = stream::unfold(changing, |mut changing| async move {
            changing.changed().await.ok()?;
            changing.borrow_and_update();
            Some(((), changing))
        });
        let followed = wrap_stream::<_, Self>(changes).map(move |(), actor: &mut Self, _| changed(actor));
        ctx.spawn(followed.finish());
    }
}

impl Actor for SwarmActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.open(ctx);
        self.follow(self.deps.availability.clone(), Self::say_availability, ctx);
        self.follow(self.deps.repositories.clone(), Self::say_capabilities, ctx);
        ctx.run_interval(TICK, Self::tick);
    }
}

crate::supervised!(SwarmActor: Say, Announce, Blame, Working);

impl Handler<Say> for SwarmActor {
    type Result = ();

    fn handle(&mut self, Say(said): Say, _: &mut Context<Self>) {
        self.say(said);
    }
}

impl Handler<Working> for SwarmActor {
    type Result = ();

    fn handle(&mut self, Working(progress): Working, _: &mut Context<Self>) {
        self.own.see_progress(progress);
    }
}

impl Handler<Announce> for SwarmActor {
    type Result = ResponseActFuture<Self, Result<(), SwarmError>>;

    fn handle(&mut self, Announce(announcement): Announce, _: &mut Context<Self>) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        let said = Said::Task(announcement);
        self.own.remember(&said);
        let is_alone = matches!(self.network, Network::None);
        self.send(Word::Say { said, answer: Some(answer) });
        let told = async move {
            match answered.await {
                Ok(told) => told,
                // Nobody to tell is as good as told.
                Err(_) if is_alone => Ok(()),
                Err(_) => Err(SwarmError::Unavailable("it is being opened".to_owned())),
            }
        };
        Box::pin(told.into_actor(self))
    }
}

impl Handler<Blame> for SwarmActor {
    type Result = ();

    fn handle(&mut self, Blame { peer, misdeed }: Blame, _: &mut Context<Self>) {
        self.peers.distrust(&peer, misdeed, Instant::now());
        self.send(Word::Blame { peer, misdeed });
        self.publish();
    }
}
