use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::{
    CapturedOutput, CommandOutcome, CommandRequest, Purpose, Sandbox, SandboxError, SandboxSpec, Sandboxes,
    WorkBundle,
};
use bzzz_actors::task::{Ending, NodeId, Sha};
use tokio::sync::watch;

use super::Traps;

/// Sandboxes whose work tree is the list of the commands that ran. Commands that say `write` change it; `hang` never
/// ends, `stuck` not even at its time limit; `exit N` exits so; `panic` panics in the node.
#[derive(Default, Clone)]
pub struct MemorySandboxes {
    pub traps: Arc<Traps>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    standing: HashMap<SandboxSpec, Arc<MemorySandbox>>,
    started: usize,
    failing_checks: u32,
}

impl MemorySandboxes {
    pub fn standing(&self) -> usize {
        self.state.lock().unwrap().standing.len()
    }

    pub fn started(&self) -> usize {
        self.state.lock().unwrap().started
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
    ran: Mutex<Vec<String>>,
    is_alive: watch::Sender<bool>,
    /// Calls run one after the other.
    turn: tokio::sync::Mutex<()>,
    home: MemorySandboxes,
}

/// The outcome of a command that exited.
fn exited(code: i32, output: &str) -> CommandOutcome {
    CommandOutcome {
        ending: Ending::Exited { code },
        duration: Duration::from_millis(20),
        output: CapturedOutput { head: output.as_bytes().to_vec(), tail: vec![], left_out: 0 },
        out_of_memory: false,
    }
}

#[async_trait]
impl Sandboxes for MemorySandboxes {
    async fn describe(&self) -> Result<String, SandboxError> {
        self.traps.step_on("describe");
        Ok("memory".into())
    }

    async fn start(&self, spec: &SandboxSpec) -> Result<Arc<dyn Sandbox>, SandboxError> {
        self.traps.step_on("start");
        let sandbox = Arc::new(MemorySandbox {
            spec: spec.clone(),
            ran: Mutex::default(),
            is_alive: watch::channel(true).0,
            turn: tokio::sync::Mutex::default(),
            home: self.clone(),
        });
        let mut state = self.state.lock().unwrap();
        state.started += 1;
        state.standing.insert(spec.clone(), sandbox.clone());
        Ok(sandbox)
    }

    async fn remove_strays(
        &self,
        node: &NodeId,
        keep: &(dyn for<'a> Fn(&'a SandboxSpec) -> bool + Send + Sync),
    ) -> Result<usize, SandboxError> {
        self.traps.step_on("remove_strays");
        let mut state = self.state.lock().unwrap();
        let before = state.standing.len();
        state.standing.retain(|spec, _| spec.node != *node || keep(spec));
        Ok(before - state.standing.len())
    }
}

#[async_trait]
impl Sandbox for MemorySandbox {
    fn name(&self) -> String {
        format!("{}-{}", self.spec.task.slug(), self.spec.purpose.as_str())
    }

    async fn import(&self, code: &CodeIn) -> Result<(), SandboxError> {
        self.home.traps.step_on("import");
        if let Some((_, tree)) = &code.changes {
            let written = u64::from_str_radix(tree.as_str(), 16).unwrap();
            self.ran.lock().unwrap().extend((0..written).map(|_| "write".to_owned()));
        }
        Ok(())
    }

    async fn run(&self, request: &CommandRequest) -> Result<CommandOutcome, SandboxError> {
        self.home.traps.step_on("run");
        let _turn = self.turn.lock().await;
        self.ran.lock().unwrap().push(request.command.clone());
        assert!(request.command != "panic", "the adapter panics");
        let mut is_alive = self.is_alive.subscribe();
        let died = async {
            let _ = is_alive.wait_for(|is_alive| !is_alive).await;
        };
        let outcome = async {
            match request.command.strip_prefix("exit ") {
                _ if request.command == "stuck" => std::future::pending().await,
                _ if request.command == "hang" => {
                    tokio::time::sleep(request.timeout).await;
                    let after_ms = request.timeout.as_millis() as u64;
                    CommandOutcome { ending: Ending::TimedOut { after_ms }, ..exited(0, "") }
                }
                Some(code) => exited(code.parse().unwrap(), ""),
                None => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let fails = self.spec.purpose == Purpose::Check && self.home.check_fails();
                    exited(i32::from(fails), "ok\n")
                }
            }
        };
        tokio::select! {
            () = died => Err(SandboxError::Lost("killed".into())),
            outcome = outcome => Ok(outcome),
        }
    }

    async fn export(&self, _: &Sha, _: u64) -> Result<WorkBundle, SandboxError> {
        self.home.traps.step_on("export");
        let _turn = self.turn.lock().await;
        if !*self.is_alive.borrow() {
            return Err(SandboxError::Lost("killed".into()));
        }
        let file = PathBuf::from(self.ran.lock().unwrap().join("\n"));
        Ok(WorkBundle { file, remover: Box::new(()) })
    }

    async fn destroy(&self) -> Result<(), SandboxError> {
        self.home.traps.step_on("destroy");
        self.is_alive.send_replace(false);
        self.home.state.lock().unwrap().standing.remove(&self.spec);
        Ok(())
    }
}
