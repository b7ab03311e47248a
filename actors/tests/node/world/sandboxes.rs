use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::{
    CapturedOutput, CommandOutcome, CommandRequest, Purpose, Sandbox, SandboxChoice, SandboxError,
    SandboxSpec, Sandboxes, WorkBundle,
};
use bzzz_actors::task::{Ending, NodeId, Sha};
use tokio::sync::watch;

use super::Traps;

/// Sandboxes whose work tree is the list of the commands that ran. Commands that say `write` change it; `hang` never
/// ends; `exit N` exits so; those that begin with `slow` take a while; `panic` panics in the node.
///
/// A command goes on when the node that began it is gone, and its outcome is kept until another call is made.
#[derive(Default, Clone)]
pub struct MemorySandboxes {
    pub traps: Arc<Traps>,
    state: Arc<Mutex<State>>,
}

/// The number of a command and, once it has ended, its outcome.
type Last = Option<(u32, Option<CommandOutcome>)>;

/// How long a slow command takes.
const SLOW: Duration = Duration::from_secs(40);

#[derive(Default)]
struct State {
    standing: HashMap<SandboxSpec, Arc<MemorySandbox>>,
    started: usize,
    /// What was chosen with each of them.
    choices: Vec<SandboxChoice>,
    adopted_with: Option<SandboxChoice>,
    /// Every command that was begun in a sandbox for work, in order.
    commands: Vec<String>,
    exports: usize,
    failing_checks: u32,
    losing_imports: u32,
    outlives_its_node: bool,
    is_away: bool,
}

impl MemorySandboxes {
    pub fn standing(&self) -> usize {
        self.state.lock().unwrap().standing.len()
    }

    pub fn started(&self) -> usize {
        self.state.lock().unwrap().started
    }

    /// What was chosen with each sandbox that was started.
    pub fn choices(&self) -> Vec<SandboxChoice> {
        self.state.lock().unwrap().choices.clone()
    }

    /// What was chosen at the last adoption.
    pub fn adopted_with(&self) -> Option<SandboxChoice> {
        self.state.lock().unwrap().adopted_with.clone()
    }

    /// Every command that was begun in a sandbox for work, in order.
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().unwrap().commands.clone()
    }

    /// How often such a command was begun in a sandbox for work.
    pub fn times(&self, command: &str) -> usize {
        self.state.lock().unwrap().commands.iter().filter(|it| *it == command).count()
    }

    /// How often a sandbox was asked for what is in it.
    pub fn exports(&self) -> usize {
        self.state.lock().unwrap().exports
    }

    /// A command that nobody waits for any more goes on, as if the node had been killed and could not say so.
    pub fn let_commands_go_on(&self) {
        self.state.lock().unwrap().outlives_its_node = true;
    }

    /// What ended is not known any more, as if the next call had been made.
    pub fn forget_outcomes(&self) {
        for sandbox in self.state.lock().unwrap().standing.values() {
            sandbox.last.send_replace(None);
        }
    }

    /// All connections to the sandboxes end; until it is back, no sandbox can be adopted.
    pub fn go_away(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_away = true;
        for sandbox in state.standing.values() {
            sandbox.is_connected.send_replace(false);
        }
    }

    pub fn come_back(&self) {
        self.state.lock().unwrap().is_away = false;
    }

    /// Every sandbox of the kind dies now.
    pub fn kill(&self, purpose: Purpose) {
        let mut state = self.state.lock().unwrap();
        state.standing.retain(|spec, sandbox| {
            let dies = spec.purpose == purpose;
            if dies {
                sandbox.is_alive.send_replace(false);
            }
            !dies
        });
    }

    /// The next sandboxes are lost while code is put in.
    pub fn lose_imports(&self, count: u32) {
        self.state.lock().unwrap().losing_imports = count;
    }

    /// The next runs of checks fail.
    pub fn fail_checks(&self, count: u32) {
        self.state.lock().unwrap().failing_checks = count;
    }

    fn check_fails(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let fails = state.failing_checks > 0;
        state.failing_checks = state.failing_checks.saturating_sub(1);
        fails
    }
}

pub struct MemorySandbox {
    spec: SandboxSpec,
    /// What the files hold.
    ran: Arc<Mutex<Vec<String>>>,
    /// The command that was begun last, with its outcome once it has ended.
    last: Arc<watch::Sender<Last>>,
    is_alive: Arc<watch::Sender<bool>>,
    /// This value's own: whoever adopts the sandbox has another.
    is_connected: watch::Sender<bool>,
    /// Calls run one after the other.
    turn: tokio::sync::Mutex<()>,
    home: MemorySandboxes,
}

/// The outcome of a command that exited.
fn exited(code: i32, output: &str) -> CommandOutcome {
    CommandOutcome {
        ending: Ending::Exited { code },
        duration: Duration::from_millis(20),
        output: CapturedOutput { head: output.as_bytes().to_vec(), tail: vec![], left_out: 0, file: None },
        out_of_memory: false,
    }
}

#[async_trait]
impl Sandboxes for MemorySandboxes {
    async fn describe(&self) -> Result<String, SandboxError> {
        self.traps.step_on("describe");
        Ok("memory".into())
    }

    async fn start_with(
        &self,
        spec: &SandboxSpec,
        choice: &SandboxChoice,
    ) -> Result<Arc<dyn Sandbox>, SandboxError> {
        self.traps.step_on("start");
        let sandbox = Arc::new(MemorySandbox {
            spec: spec.clone(),
            ran: Arc::default(),
            last: Arc::new(watch::channel(None).0),
            is_alive: Arc::new(watch::channel(true).0),
            is_connected: watch::channel(true).0,
            turn: tokio::sync::Mutex::default(),
            home: self.clone(),
        });
        let mut state = self.state.lock().unwrap();
        state.started += 1;
        state.choices.push(choice.clone());
        state.standing.insert(spec.clone(), sandbox.clone());
        Ok(sandbox)
    }

    async fn adopt_with(
        &self,
        spec: &SandboxSpec,
        choice: &SandboxChoice,
    ) -> Result<Option<Arc<dyn Sandbox>>, SandboxError> {
        let mut state = self.state.lock().unwrap();
        state.adopted_with = Some(choice.clone());
        if state.is_away {
            return Err(SandboxError::Unavailable("no daemon answers".into()));
        }
        let Some(standing) = state.standing.get_mut(spec) else { return Ok(None) };
        let sandbox = Arc::new(MemorySandbox {
            spec: spec.clone(),
            ran: standing.ran.clone(),
            last: standing.last.clone(),
            is_alive: standing.is_alive.clone(),
            is_connected: watch::channel(true).0,
            turn: tokio::sync::Mutex::default(),
            home: self.clone(),
        });
        *standing = sandbox.clone();
        Ok(Some(sandbox))
    }

    async fn remove_strays(
        &self,
        node: &NodeId,
        keep: &(dyn for<'a> Fn(&'a SandboxSpec) -> bool + Send + Sync),
    ) -> Result<usize, SandboxError> {
        self.traps.step_on("remove_strays");
        let mut state = self.state.lock().unwrap();
        let before = state.standing.len();
        state.standing.retain(|spec, sandbox| {
            let stays = spec.node != *node || keep(spec);
            if !stays {
                sandbox.is_alive.send_replace(false);
            }
            stays
        });
        Ok(before - state.standing.len())
    }
}

impl MemorySandbox {
    fn begin(&self, request: &CommandRequest) -> Job {
        let CommandRequest { step, command, timeout } = request.clone();
        let (ran, last) = (self.ran.clone(), self.last.clone());
        let fails = self.spec.purpose == Purpose::Check && self.home.check_fails();
        last.send_replace(Some((step, None)));
        let work = async move {
            let (takes, outcome) = match command.strip_prefix("exit ") {
                _ if command == "stuck" => return std::future::pending().await,
                _ if command == "hang" => {
                    let ending = Ending::TimedOut { after_ms: timeout.as_millis() as u64 };
                    (timeout, CommandOutcome { ending, ..exited(0, "") })
                }
                _ if command.starts_with("slow") => (SLOW, exited(0, "slow\n")),
                _ if command.contains("binary") => (Duration::ZERO, exited(0, "\u{7}")),
                Some(code) => (Duration::ZERO, exited(code.parse().unwrap(), "")),
                None => (Duration::from_millis(20), exited(i32::from(fails), "ok\n")),
            };
            tokio::time::sleep(takes).await;
            ran.lock().unwrap().push(command);
            last.send_replace(Some((step, Some(outcome))));
        };
        let goes_on = self.home.state.lock().unwrap().outlives_its_node;
        Job { work: tokio::spawn(work), last: self.last.clone(), goes_on }
    }

    /// Waits for the end of the command that was begun last, if it is this one.
    async fn ended(&self, step: u32) -> Result<Option<CommandOutcome>, SandboxError> {
        let (mut is_alive, mut last) = (self.is_alive.subscribe(), self.last.subscribe());
        let mut is_connected = self.is_connected.subscribe();
        let ended = async {
            let decided = last.wait_for(|last| match last {
                Some((begun, outcome)) => *begun != step || outcome.is_some(),
                None => true,
            });
            let decided = decided.await.unwrap().clone();
            decided.filter(|(begun, _)| *begun == step).and_then(|(_, outcome)| outcome)
        };
        tokio::select! {
            biased;
            _ = is_alive.wait_for(|is_alive| !is_alive) => Err(SandboxError::Lost("killed".into())),
            _ = is_connected.wait_for(|is_connected| !is_connected) => Err(SandboxError::Lost("cut off".into())),
            outcome = ended => Ok(outcome),
        }
    }
}

/// A command that is under way. It is killed, and its outcome says so, when whoever waits for it goes away.
struct Job {
    work: tokio::task::JoinHandle<()>,
    last: Arc<watch::Sender<Last>>,
    goes_on: bool,
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.goes_on {
            return;
        }
        self.work.abort();
        self.last.send_if_modified(|last| match last {
            Some((_, outcome @ None)) => {
                *outcome = Some(CommandOutcome { ending: Ending::Unknown, ..exited(0, "") });
                true
            }
            _ => false,
        });
    }
}

#[async_trait]
impl Sandbox for MemorySandbox {
    fn name(&self) -> String {
        format!("{}-{}", self.spec.task.slug(), self.spec.purpose.as_str())
    }

    fn is_lost(&self) -> bool {
        !*self.is_connected.borrow()
    }

    async fn import(&self, code: &CodeIn) -> Result<(), SandboxError> {
        self.home.traps.step_on("import");
        let losing = std::mem::take(&mut self.home.state.lock().unwrap().losing_imports);
        if losing > 0 {
            self.home.state.lock().unwrap().losing_imports = losing - 1;
            return Err(SandboxError::Lost("killed while code was put in".into()));
        }
        if let Some((_, tree)) = &code.changes {
            let written = u64::from_str_radix(tree.as_str(), 16).unwrap();
            self.ran.lock().unwrap().extend((0..written).map(|_| "write".to_owned()));
        }
        Ok(())
    }

    async fn run(&self, request: &CommandRequest) -> Result<CommandOutcome, SandboxError> {
        self.home.traps.step_on("run");
        let _turn = self.turn.lock().await;
        if self.spec.purpose == Purpose::Work {
            self.home.state.lock().unwrap().commands.push(request.command.clone());
        }
        assert!(request.command != "panic", "the adapter panics");
        let _job = self.begin(request);
        match self.ended(request.step).await? {
            Some(outcome) => Ok(outcome),
            None => Err(SandboxError::Lost("it knows nothing of its own job".into())),
        }
    }

    async fn recall(&self, step: u32, patience: Duration) -> Result<Option<CommandOutcome>, SandboxError> {
        let _turn = self.turn.lock().await;
        let late = |_| Err(SandboxError::Lost("it did not end".into()));
        tokio::time::timeout(patience, self.ended(step)).await.unwrap_or_else(late)
    }

    async fn export_changes(
        &self,
        _: &Sha,
        known: Option<&Sha>,
        _: u64,
    ) -> Result<Option<WorkBundle>, SandboxError> {
        self.home.traps.step_on("export");
        let _turn = self.turn.lock().await;
        self.home.state.lock().unwrap().exports += 1;
        if !*self.is_alive.borrow() {
            return Err(SandboxError::Lost("killed".into()));
        }
        self.last.send_replace(None);
        let content = self.ran.lock().unwrap().join("\n");
        let tree = format!("{:040x}", content.matches("write").count());
        let known = known.map_or("0".repeat(40), ToString::to_string);
        let bundle = WorkBundle { file: PathBuf::from(content), remover: Box::new(()) };
        Ok((tree != known).then_some(bundle))
    }

    async fn destroy(&self) -> Result<(), SandboxError> {
        self.home.traps.step_on("destroy");
        self.is_alive.send_replace(false);
        self.home.state.lock().unwrap().standing.remove(&self.spec);
        Ok(())
    }
}
