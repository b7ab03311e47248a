//! Many nodes in one process, and what each heard when.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bzzz::swarm::{Libp2p, Options, addresses, identity};
use bzzz_actors::ports::swarm::{Heard, OpenSwarm, PeerId, Progress, Said, Swarm, SwarmError, Voice};
use bzzz_actors::task::Epoch;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};

/// What takes longer counts as lost. It is shorter than the first exchange of state takes to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// The mesh forms within some heartbeats, and the peers' exchange of addresses ends.
const SETTLE: Duration = Duration::from_secs(10);
/// Twice what an exchange with a random peer may take to come round.
const HEAL: Duration = Duration::from_secs(120);

type Arrivals = Arc<Mutex<Vec<(u64, Instant)>>>;
/// The last that each node heard of each author.
type Latest = Arc<Mutex<HashMap<(usize, PeerId), u64>>>;

struct Bee {
    _folder: TempDir,
    network: Libp2p,
    voice: Arc<dyn Voice>,
    me: PeerId,
    last: AtomicU64,
}

pub(crate) struct Hive {
    bees: Vec<Bee>,
    pub(crate) arrivals: Arrivals,
    latest: Latest,
    changed: Arc<Notify>,
    late: Option<Late>,
    next: AtomicU64,
}

/// One that has not joined yet.
struct Late {
    folder: TempDir,
    options: Options,
}

impl Hive {
    /// All but one, which joins later.
    pub(crate) async fn start(count: usize) -> Self {
        let folders: Vec<TempDir> = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
        let id = |folder: &TempDir| identity::load_or_make(folder.path()).unwrap().public().to_peer_id();
        let allow: HashSet<_> = folders.iter().map(id).collect();
        let (arrivals, latest, changed) = (Arrivals::default(), Latest::default(), Arc::new(Notify::new()));
        let mut hive =
            Self { bees: Vec::new(), arrivals, latest, changed, late: None, next: AtomicU64::new(1) };
        let mut bootstrap = Vec::new();
        for (number, folder) in folders.into_iter().enumerate() {
            let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
            let options = Options::new(folder.path(), "bench", listen);
            let options = Options { allow: allow.clone(), bootstrap: bootstrap.clone(), ..options };
            if number + 1 == count {
                hive.late = Some(Late { folder, options });
                break;
            }
            hive.add(folder, options).await;
            if bootstrap.is_empty() {
                bootstrap.push(hive.bees[0].address().await);
            }
        }
        for number in 0..hive.bees.len() {
            let id = hive.next_id();
            hive.say(number, id).await;
        }
        let wanted = hive.bees.len() * (hive.bees.len() - 1);
        hive.until(HEAL, |hive| hive.latest.lock().unwrap().len() >= wanted).await;
        tokio::time::sleep(SETTLE).await;
        hive
    }

    async fn add(&mut self, folder: TempDir, options: Options) {
        let network = Libp2p::new(options).unwrap();
        let OpenSwarm { me, voice, heard } = network.open().await.unwrap();
        let number = self.bees.len();
        tokio::spawn(listen(number, heard, self.arrivals.clone(), self.latest.clone(), self.changed.clone()));
        self.bees.push(Bee { _folder: folder, network, voice, me, last: AtomicU64::new(0) });
    }

    pub(crate) fn count(&self) -> usize {
        self.bees.len()
    }

    /// How long the last one takes from its opening to knowing what each of the others said last.
    pub(crate) async fn join(&mut self) -> Duration {
        let Some(Late { folder, options }) = self.late.take() else { return Duration::ZERO };
        let (number, others) = (self.bees.len(), self.bees.len());
        let start = Instant::now();
        self.add(folder, options).await;
        let knows =
            |hive: &Self| hive.latest.lock().unwrap().keys().filter(|(bee, _)| *bee == number).count();
        self.until(HEAL, |hive| knows(hive) >= others).await;
        start.elapsed()
    }

    pub(crate) async fn settle(&self) {
        tokio::time::sleep(SETTLE).await;
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) async fn say(&self, number: usize, id: u64) {
        let bee = &self.bees[number % self.bees.len()];
        bee.last.store(id, Ordering::Relaxed);
        // As long as most of what nodes say.
        let (task, steps) = ("acme/rocket#1".parse().unwrap(), u32::try_from(id).unwrap());
        let said = Said::Progress(Progress { task, epoch: Epoch(1), phase: "ab".repeat(32), steps });
        match bee.voice.say(said).await {
            Ok(()) | Err(SwarmError::Alone) => {}
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn until_arrived(&self, wanted: usize) {
        self.until(PATIENCE, |hive| hive.arrivals.lock().unwrap().len() >= wanted).await;
    }

    /// How long it took until every node had the last message of every author, and how many it has not.
    pub(crate) async fn healed(&self) -> (Duration, usize) {
        let start = Instant::now();
        self.until(HEAL, |hive| hive.missing() == 0).await;
        (start.elapsed(), self.missing())
    }

    fn missing(&self) -> usize {
        let latest = self.latest.lock().unwrap();
        let mut missing = 0;
        for (number, bee) in self.bees.iter().enumerate() {
            for author in self.bees.iter().filter(|author| author.me != bee.me) {
                let has = latest.get(&(number, author.me.clone())).copied();
                missing += usize::from(has != Some(author.last.load(Ordering::Relaxed)));
            }
        }
        missing
    }

    async fn until(&self, patience: Duration, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                // What is missed between the look and the wait is seen with the next message, or here.
                let _ = tokio::time::timeout(Duration::from_millis(20), self.changed.notified()).await;
            }
        };
        let _ = tokio::time::timeout(patience, waiting).await;
    }
}

impl Bee {
    async fn address(&self) -> addresses::Bootstrap {
        let mut addresses = self.network.addresses();
        let addresses = addresses.wait_for(|addresses| !addresses.is_empty()).await.unwrap();
        addresses::bootstrap(&addresses[0]).unwrap()
    }
}

async fn listen(
    number: usize,
    mut heard: mpsc::Receiver<Heard>,
    arrivals: Arrivals,
    latest: Latest,
    changed: Arc<Notify>,
) {
    while let Some(heard) = heard.recv().await {
        let at = Instant::now();
        if let Heard::Said { author, said: Said::Progress(progress) } = heard {
            let id = u64::from(progress.steps);
            arrivals.lock().unwrap().push((id, at));
            latest.lock().unwrap().insert((number, author), id);
            changed.notify_waiters();
        }
    }
}
