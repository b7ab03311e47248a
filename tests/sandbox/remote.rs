//! A daemon on another machine: one of the test's own, in a network of its own, which listens to TLS. It is given nothing of
//! this machine's files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bzzz::docker::{DockerOptions, DockerSandboxes, DockerVisitor};
use bzzz::sandbox::{Piece, Visitor};
use bzzz_actors::ports::sandbox::{Purpose, Sandbox, SandboxError, SandboxSpec, Sandboxes};
use bzzz_actors::task::{Ending, Epoch};
use futures_util::StreamExt;

use crate::code::Upstream;
use crate::containers::{Docker, image};
use crate::dockerd::{CERTIFICATES, Dockerd, Network};
use crate::gvisor::another_runtime_does_as_well;
use crate::place::{MIB, Place, Sizes, output, request, run, text};

const PATIENCE: Duration = Duration::from_secs(30);

/// Where the image's own configuration stands.
const CONFIGURATION: &str = "{{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .Config.Env}} {{.Config.User}} {{.Config.WorkingDir}}";

/// A node of this machine and a daemon of another one.
pub(crate) struct Far {
    pub(crate) place: Place,
    dockerd: Dockerd,
    network: Network,
    /// The last, so that it goes after what is in it.
    folder: tempfile::TempDir,
}

impl Far {
    /// `None`, with a line that says so, where there can't be such a daemon. In CI that is a failure.
    fn new() -> Option<Self> {
        let place = Place::docker()?;
        let folder = tempfile::Builder::new().prefix("bzzz-dockerd-").tempdir().unwrap();
        match Dockerd::start_for_others(&folder.path().join("dockerd")) {
            Ok(dockerd) => Some(Self { place, network: Network::to_tls_of(&dockerd), dockerd, folder }),
            Err(problem) => {
                assert!(std::env::var_os("CI").is_none(), "{problem}");
                println!("skipped: {problem}");
                None
            }
        }
    }

    fn options(&self) -> DockerOptions {
        DockerOptions {
            host: Some(format!("tcp://{}", self.network.address)),
            certificates: Some(CERTIFICATES.into()),
            // Dozens of processes, with the memory that this machine has.
            ..self.place.docker_options(Sizes { memory_bytes: 384 * MIB, ..Sizes::default() })
        }
    }

    pub(crate) fn spec(&self, epoch: u64) -> SandboxSpec {
        SandboxSpec { epoch: Epoch(epoch), ..self.place.spec(Purpose::Work) }
    }

    pub(crate) fn docker(&self) -> Docker {
        self.dockerd.client()
    }

    pub(crate) fn has_gvisor(&self) -> bool {
        self.dockerd.has_gvisor
    }

    fn said(&self, arguments: &[&str]) -> String {
        self.docker().run(arguments).unwrap_or_else(|| panic!("docker {arguments:?}")).trim().to_owned()
    }

    /// The images with sandboxd in them, sorted.
    fn layered(&self) -> Vec<String> {
        let listed = self.said(&["images", "--format", "{{.Repository}}:{{.Tag}}", "bzzz-sandboxd"]);
        let mut listed: Vec<_> = listed.lines().map(str::to_owned).collect();
        listed.sort_unstable();
        listed
    }

    fn containers(&self) -> Vec<String> {
        self.said(&["ps", "--all", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect()
    }
}

fn sandboxes(options: DockerOptions) -> DockerSandboxes {
    DockerSandboxes::new(options).unwrap()
}

/// One daemon for all: it takes long to make.
#[test]
fn a_daemon_on_another_machine() {
    let Some(mut far) = Far::new() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        sandboxes_work_as_they_do_here(&far).await;
        a_command_outlives_the_network(&far).await;
        a_person_looks_in(&far).await;
        an_image_is_made_anew_when_its_base_is(&far).await;
        a_tunnel_does_as_well(&far).await;
        another_runtime_does_as_well(&far).await;
        what_is_wrong_is_said(&far).await;
        a_daemon_that_is_away_is_waited_for(&mut far).await;
    });
}

async fn sandboxes_work_as_they_do_here(far: &Far) {
    let backend = sandboxes(far.options());
    let described = backend.describe().await.unwrap();
    assert!(described.contains(&format!(" at tcp://{} (", far.network.address)), "{described}");
    assert_eq!(far.layered(), [""; 0]);

    let started = Instant::now();
    let (first, other) = (far.spec(1), far.spec(2));
    let (first, other) = tokio::join!(backend.start(&first), backend.start(&other));
    let (first, other) = (first.unwrap(), other.unwrap());
    println!("two sandboxes and the image for them: {:?}", started.elapsed());
    let layered = far.layered();
    assert_eq!(layered.len(), 1, "made once: {layered:?}");
    let configuration = |image: &str| far.said(&["image", "inspect", "--format", CONFIGURATION, image]);
    assert_eq!(configuration(&layered[0]), configuration(&image()));

    let mut names = [first.name(), other.name()];
    names.sort_unstable();
    let mut containers = far.containers();
    containers.sort_unstable();
    assert_eq!(containers, names, "nothing is left of how the image was made");
    let format =
        "{{json .Mounts}} {{.HostConfig.NetworkMode}} {{.HostConfig.ReadonlyRootfs}} {{.Config.Image}}";
    let inspected = far.said(&["inspect", "--format", format, &names[0]]);
    assert_eq!(inspected, format!("[] none true {}", layered[0]));

    assert_eq!(output(&*first, 1, "id -u; stat -c '%u:%g %a' /sandboxd").await, "1000\n0:0 755\n");
    let large = run(&*first, 2, "head -c 3000000 /dev/zero | tr '\\0' x").await.unwrap();
    let whole = large.output.head.len() as u64 + large.output.tail.len() as u64 + large.output.left_out;
    assert_eq!(whole, 3_000_000);
    code_goes_in_and_out(&*first).await;

    // Another life of the node.
    let again = sandboxes(far.options());
    assert!(again.adopt(&far.spec(3)).await.unwrap().is_none());
    let second = again.adopt(&far.spec(1)).await.unwrap().unwrap();
    assert_eq!(output(&*second, 9, "cat new.txt").await, "new\n");
    let kept = far.spec(1);
    assert_eq!(again.remove_strays(&far.place.node, &|spec| *spec == kept).await.unwrap(), 1);
    assert!(matches!(run(&*other, 1, "true").await, Err(SandboxError::Lost(_))));
    assert_eq!(output(&*second, 10, "echo on").await, "on\n");
    second.destroy().await.unwrap();
    assert_eq!(far.containers(), [""; 0]);
    assert_eq!(far.layered(), layered, "the image stays");
    assert!(
        !far.place.folder.path().join("sandboxd").exists(),
        "nothing is put where that daemon can't see it"
    );
}

pub(crate) async fn code_goes_in_and_out(sandbox: &dyn Sandbox) {
    let upstream = Upstream::new();
    sandbox.import(&upstream.code).await.unwrap();
    output(sandbox, 3, "echo new > new.txt; head -c 2000000 /dev/urandom > large").await;
    let bundle = sandbox.export_changes(&upstream.base, None, 8 * MIB).await.unwrap().unwrap();
    assert_eq!(upstream.changed(&bundle), "A large\nA new.txt");
}

async fn a_command_outlives_the_network(far: &Far) {
    let backend = sandboxes(far.options());
    let first = backend.start(&far.spec(1)).await.unwrap();
    let held = "echo begun; while [ ! -e /tmp/go ]; do sleep 0.3; done; echo done";
    let command = request(1, held, PATIENCE);
    let running = tokio::spawn({
        let first = first.clone();
        async move { first.run(&command).await }
    });
    let name = first.name();
    let deadline = Instant::now() + PATIENCE;
    while !far.docker().run(&["top", &name]).is_some_and(|top| top.contains("sleep 0.3")) {
        assert!(Instant::now() < deadline, "the command does not begin");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    far.network.cut();
    let Err(SandboxError::Lost(why)) = running.await.unwrap() else { panic!("it was not lost") };
    assert!(why.contains("the container is running"), "{why}");
    let second = backend.adopt(&far.spec(1)).await.unwrap().unwrap();
    far.docker().run(&["exec", &second.name(), "touch", "/tmp/go"]).unwrap();
    let recalled = second.recall(1, PATIENCE).await.unwrap().unwrap();
    assert_eq!((recalled.ending, text(&recalled).as_str()), (Ending::Exited { code: 0 }, "begun\ndone\n"));
    second.destroy().await.unwrap();
}

async fn a_person_looks_in(far: &Far) {
    let options = far.options();
    let sandbox = sandboxes(options.clone()).start(&far.spec(1)).await.unwrap();
    // Makes the folder where commands start.
    output(&*sandbox, 1, "true").await;
    let (host, certificates) = (options.host.as_deref(), options.certificates.as_deref());
    let (node, data_dir) = (far.place.node.clone(), far.place.folder.path().to_owned());
    let visitor = DockerVisitor::connect(host, certificates, node, data_dir).await.unwrap();
    let standing = visitor.standing().await.unwrap();
    assert_eq!(standing.iter().map(|it| &it.spec).collect::<Vec<_>>(), [&far.spec(1)]);
    let command = ["sh", "-c", "pwd; echo loud >&2; exit 3"].map(str::to_owned).to_vec();
    let mut visit = visitor.visit(&standing[0], command, false).await.unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(piece) = visit.output.next().await {
        match piece.unwrap() {
            Piece::Out(bytes) => out.extend(bytes),
            Piece::Err(bytes) => err.extend(bytes),
        }
    }
    assert_eq!(
        (&out[..], &err[..], visit.process.status().await),
        (&b"/work/repo\n"[..], &b"loud\n"[..], Some(3))
    );
    sandbox.destroy().await.unwrap();
}

async fn an_image_is_made_anew_when_its_base_is(far: &Far) {
    let name = "bzzz-test-base:1";
    let base = |mark: &str| {
        let mark = format!("LABEL mark={mark}");
        let made = far.said(&["create", &image(), "true"]);
        far.said(&["commit", "--change", &mark, &made, name]);
        far.said(&["rm", &made]);
    };
    let before = far.layered();
    let backend = sandboxes(DockerOptions { image: name.to_owned(), ..far.options() });
    let new = |others: &[String]| {
        let found = far.layered();
        assert!(others.iter().all(|it| found.contains(it)), "{found:?} lost one of {others:?}");
        let new: Vec<_> = found.into_iter().filter(|it| !others.contains(it)).collect();
        assert_eq!(new.len(), 1, "{new:?}");
        new[0].clone()
    };

    base("one");
    let in_use = backend.start(&far.spec(1)).await.unwrap();
    let one = new(&before);
    base("two");
    let second = backend.start(&far.spec(2)).await.unwrap();
    assert_eq!(output(&*second, 1, "echo two").await, "two\n");
    let two = new(&[&before[..], std::slice::from_ref(&one)].concat());
    assert_eq!(output(&*in_use, 1, "echo one").await, "one\n");
    in_use.destroy().await.unwrap();
    second.destroy().await.unwrap();
    base("three");
    let third = backend.start(&far.spec(3)).await.unwrap();
    let three = new(&before);
    assert!(three != one && three != two, "what nothing uses and what is no other image's is gone");
    third.destroy().await.unwrap();
    far.said(&["rmi", &three, name]);
}

async fn a_tunnel_does_as_well(far: &Far) {
    let tunnel = Network::tunnel_to(&far.dockerd);
    let host = Some(format!("tcp://localhost:{}", tunnel.address.port()));
    let backend = sandboxes(DockerOptions { host, certificates: None, ..far.options() });
    let sandbox = backend.start(&far.spec(1)).await.unwrap();
    assert_eq!(output(&*sandbox, 1, "echo through").await, "through\n");
    sandbox.destroy().await.unwrap();
    assert_eq!(far.layered().len(), 1, "the same image serves");
}

async fn what_is_wrong_is_said(far: &Far) {
    let refused = async |options: DockerOptions, expected: &[&str]| {
        let error = sandboxes(options).describe().await.expect_err(expected[0]).to_string();
        expected.iter().for_each(|words| assert!(error.contains(words), "{words}: {error}"));
    };
    refused(
        DockerOptions { certificates: None, ..far.options() },
        &["HTTP request to an HTTPS server", "sandbox.docker_certificates"],
    )
    .await;
    let others = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sandbox/tls/certificate.pem");
    let with = |ca: &Path, name: &str| {
        let folder = far.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let own = |file: &str| Path::new(CERTIFICATES).join(file);
        let files =
            [("ca.pem", ca.to_owned()), ("cert.pem", own("server.pem")), ("key.pem", own("server-key.pem"))];
        for (file, from) in files {
            std::fs::copy(from, folder.join(file)).unwrap();
        }
        DockerOptions { certificates: Some(folder), ..far.options() }
    };
    refused(with(Path::new(others), "other-authority"), &["invalid peer certificate", "/ca.pem"]).await;
    let of_server = with(&PathBuf::from(CERTIFICATES).join("ca.pem"), "not-of-a-user");
    // How it is told depends on which comes first, the refusal or the end of the connection.
    refused(of_server, &["/cert.pem one that it takes"]).await;
    let missing = DockerOptions { image: "bzzz-no-such-image:1".to_owned(), ..far.options() };
    refused(missing, &["docker save bzzz-no-such-image:1 | docker --host tcp://"]).await;

    // Its socket is on this machine, but its files are not: a file system of its own hides them.
    let hidden = far.folder.path().join("dockerd/data/node");
    std::fs::create_dir(&hidden).unwrap();
    let options =
        DockerOptions { host: far.docker().host, certificates: None, data_dir: hidden, ..far.options() };
    let Err(error) = sandboxes(options).start(&far.spec(1)).await else { panic!("the file was seen") };
    assert!(matches!(error, SandboxError::Misconfigured(_)), "{error}");
    let words = ["does not see this machine's files", "source path does not exist", "ssh://user@host"];
    words.iter().for_each(|words| assert!(error.to_string().contains(words), "{error}"));

    let options = DockerOptions { allowed_hosts: vec!["crates.io".parse().unwrap()], ..far.options() };
    let with_hosts =
        sandboxes(far.options()).with_repository(&"Acme/Rocket".parse().unwrap(), options).unwrap();
    for error in [with_hosts.describe().await.err(), with_hosts.start(&far.spec(1)).await.err()] {
        let Some(SandboxError::Misconfigured(text)) = error else { panic!("{error:?}") };
        assert!(text.contains("allow_hosts"), "{text}");
    }
    assert_eq!(far.containers(), [""; 0]);
}

async fn a_daemon_that_is_away_is_waited_for(far: &mut Far) {
    far.dockerd.stop();
    let backend = sandboxes(far.options());
    let Err(error) = backend.start(&far.spec(1)).await else { panic!("it is away") };
    assert!(
        error.is_retryable() && error.to_string().contains("no Docker daemon answers at tcp://"),
        "{error}"
    );
    far.dockerd.start_again(crate::dockerd::Containers::EndToo);
    let sandbox = backend.start(&far.spec(1)).await.unwrap();
    assert_eq!(output(&*sandbox, 1, "echo back").await, "back\n");
    sandbox.destroy().await.unwrap();
}
