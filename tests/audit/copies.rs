//! A node that keeps a copy of another's trail.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bzzz::trail::replication::{
    Follower, Following, Limits, Progress, ServedSegments, Server, segment_folder,
};
use bzzz_actors::trail::{Bytes, Sealed};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::javascript;
use crate::trail::{Trail, key};

async fn serve(trail: &Trail, address: &str) -> Server {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match Server::listen(address, trail.served(), Limits::default()).await {
            Ok(server) => break server,
            // A process that another test is starting holds a copy of the listener until it has begun.
            Err(why) if why.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                tokio::task::yield_now().await;
            }
            Err(why) => panic!("{why}"),
        }
    }
}

fn follow(address: &str, folder: &Path) -> Follower {
    let (address, folder) = (address.to_owned(), folder.to_owned());
    Follower::start(Following { address, audit_key: key(0), folder })
}

async fn wait(follower: &Follower, is_there: impl FnMut(&Progress) -> bool) -> Progress {
    let mut progress = follower.progress();
    let reached = timeout(Duration::from_secs(60), progress.wait_for(is_there)).await;
    let reached = reached.map(|reached| reached.unwrap().clone());
    reached.unwrap_or_else(|_| panic!("it stands at {:?}", follower.progress().borrow()))
}

/// The whole trail.
async fn wait_for(follower: &Follower, trail: &Trail) {
    let (segment, length) = (trail.blocks.len() as u64 - 1, trail.blocks.last().unwrap().len() as u64);
    wait(follower, |progress| (progress.segment, progress.length) == (segment, length)).await;
}

async fn assert_is_copied(folder: &Path, trail: &Trail) {
    for (segment, blocks) in trail.blocks.iter().enumerate() {
        let copied = javascript::read(&segment_folder(folder, segment as u64)).await;
        assert_eq!(&copied.blocks, blocks, "segment {segment}");
    }
}

/// A trail of two segments, who serves it, and a whole copy that nobody follows now.
async fn copied() -> (Trail, Server, TempDir) {
    let mut trail = Trail::begin().await;
    trail.append_entries(20).await;
    trail.seal().await;
    trail.append_entries(20).await;
    let server = serve(&trail, "127.0.0.1:0").await;
    let folder = tempfile::tempdir().unwrap();
    let first = follow(&server.address().to_string(), folder.path());
    wait_for(&first, &trail).await;
    first.stop().await;
    (trail, server, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_grows_with_the_trail_from_segment_to_segment() {
    let mut trail = Trail::begin().await;
    for _ in 0..2 {
        trail.append_entries(150).await;
        trail.seal().await;
    }
    let server = serve(&trail, "127.0.0.1:0").await;
    let folder = tempfile::tempdir().unwrap();
    let follower = follow(&server.address().to_string(), folder.path());
    wait_for(&follower, &trail).await;
    for _ in 0..20 {
        let before = trail.blocks[2].len() as u64;
        trail.append_entries(3).await;
        wait(&follower, |progress| progress.segment == 2 && progress.length >= before).await;
    }
    wait_for(&follower, &trail).await;
    trail.seal().await;
    trail.append_entries(2).await;
    wait_for(&follower, &trail).await;
    follower.stop().await;
    assert_is_copied(folder.path(), &trail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_on_after_either_end_was_gone() {
    let mut trail = Trail::begin().await;
    trail.append_entries(100).await;
    trail.seal().await;
    trail.append_entries(400).await;
    let server = serve(&trail, "127.0.0.1:0").await;
    let (address, folder) = (server.address().to_string(), tempfile::tempdir().unwrap());
    let first = follow(&address, folder.path());
    wait(&first, |progress| progress.segment == 1 && progress.length > 50).await;
    first.stop().await;

    let second = follow(&address, folder.path());
    wait_for(&second, &trail).await;
    server.stop().await;
    wait(&second, |progress| !progress.is_connected).await;
    trail.append_entries(30).await;
    let _server = serve(&trail, &address).await;
    wait_for(&second, &trail).await;
    second.stop().await;
    assert_is_copied(folder.path(), &trail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_does_not_follow_is_refused() {
    let mut trail = Trail::begin().await;
    trail.append_entries(10).await;
    trail.lie = Some(Sealed { key: key(0), length: 11, root: Bytes([7; 32]) });
    trail.seal().await;
    let server = serve(&trail, "127.0.0.1:0").await;
    let folder = tempfile::tempdir().unwrap();
    let follower = follow(&server.address().to_string(), folder.path());
    let refused = wait(&follower, |progress| progress.is_refused).await;
    assert_eq!(refused.trouble.as_deref(), Some("segment 1 does not follow the one before it"));
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_the_peer_does_not_have_is_asked_for_again() {
    let trail = Trail::begin().await;
    let nothing = Arc::<ServedSegments>::default();
    let server = Server::listen("127.0.0.1:0", nothing, Limits::default()).await.unwrap();
    let (address, folder) = (server.address().to_string(), tempfile::tempdir().unwrap());
    let follower = follow(&address, folder.path());
    let unknown = wait(&follower, |progress| progress.trouble.is_some()).await;
    assert_eq!(unknown.trouble.as_deref(), Some("it does not have this trail"));
    server.stop().await;
    let _server = serve(&trail, &address).await;
    wait_for(&follower, &trail).await;
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_does_not_open_is_fetched_anew() {
    let (trail, server, folder) = copied().await;
    let address = server.address().to_string();
    let copied = segment_folder(folder.path(), 1);
    for (broken, aside) in [(7, "broken"), (8, "broken-2")] {
        std::fs::write(copied.join("oplog"), [broken; 9000]).unwrap();
        let again = follow(&address, folder.path());
        wait_for(&again, &trail).await;
        again.stop().await;
        assert_is_copied(folder.path(), &trail).await;
        let kept = std::fs::read(copied.with_extension(aside).join("oplog")).unwrap();
        assert_eq!(kept, [broken; 9000]);
    }
    assert_eq!(std::fs::read(copied.with_extension("broken").join("oplog")).unwrap(), [7; 9000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_disk_does_not_give_is_not_taken_for_broken() {
    let folder = tempfile::tempdir().unwrap();
    let copied = segment_folder(folder.path(), 0);
    // A folder opens as a file does, and can't be read.
    std::fs::create_dir_all(copied.join("oplog")).unwrap();
    for name in ["tree", "data", "bitfield"] {
        std::fs::write(copied.join(name), []).unwrap();
    }
    // The copy is read before the peer is asked, of which there is none.
    let follower = follow("127.0.0.1:1", folder.path());
    let progress = wait(&follower, |progress| progress.trouble.is_some()).await;
    assert!(progress.trouble.as_ref().unwrap().contains("its files can't be used"), "{progress:?}");
    follower.stop().await;
    assert!(copied.join("oplog").is_dir() && !copied.with_extension("broken").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blocks_of_sealed_segments_are_not_read_again() {
    let (mut trail, server, folder) = copied().await;
    let address = server.address().to_string();
    let sealed = segment_folder(folder.path(), 0);
    let mut data = std::fs::read(sealed.join("data")).unwrap();
    *data.last_mut().unwrap() ^= 1;
    std::fs::write(sealed.join("data"), &data).unwrap();
    trail.append_entries(5).await;
    let second = follow(&address, folder.path());
    wait_for(&second, &trail).await;
    second.stop().await;
    assert_eq!(std::fs::read(sealed.join("data")).unwrap(), data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_grows_on_after_the_segment_was_opened_anew() {
    let mut trail = Trail::begin().await;
    trail.append_entries(10).await;
    let server = serve(&trail, "127.0.0.1:0").await;
    let folder = tempfile::tempdir().unwrap();
    let follower = follow(&server.address().to_string(), folder.path());
    wait_for(&follower, &trail).await;
    trail.reopen().await;
    trail.append_entries(20).await;
    trail.seal().await;
    trail.append_entries(5).await;
    wait_for(&follower, &trail).await;
    follower.stop().await;
    assert_is_copied(folder.path(), &trail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_was_longer_than_the_peer_said_is_gone_on_with() {
    let (mut stale, mut trail) = (Trail::begin().await, Trail::begin().await);
    for it in [&mut stale, &mut trail] {
        it.append_entries(10).await;
    }
    trail.append_entries(20).await;
    trail.seal().await;
    trail.append_entries(5).await;
    stale.segments.add(trail.last());
    let server = serve(&stale, "127.0.0.1:0").await;
    let (address, folder) = (server.address().to_string(), tempfile::tempdir().unwrap());
    let follower = follow(&address, folder.path());
    let progress = wait(&follower, |progress| progress.trouble.is_some()).await;
    let expected = "segment 0 is longer than the peer said when the next one began";
    assert_eq!((progress.trouble.as_deref(), progress.is_refused), (Some(expected), false));
    server.stop().await;
    let _server = serve(&trail, &address).await;
    wait_for(&follower, &trail).await;
    follower.stop().await;
    assert_is_copied(folder.path(), &trail).await;
}

/// Has a copy of a trail with 31 blocks, and then asks another that the same keys signed.
async fn followed_into(other: &Trail, folder: &Path) -> (Follower, Server) {
    let mut trail = Trail::begin().await;
    trail.append_entries(30).await;
    let server = serve(&trail, "127.0.0.1:0").await;
    let address = server.address().to_string();
    let follower = follow(&address, folder);
    wait_for(&follower, &trail).await;
    server.stop().await;
    wait(&follower, |progress| !progress.is_connected).await;
    let server = serve(other, &address).await;
    (follower, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_signs_other_blocks_than_before_is_refused() {
    for (same, others) in [(12, 6), (12, 18), (29, 1), (24, 40), (0, 70)] {
        let mut other = Trail::begin().await;
        other.append_entries(same).await;
        other
            .append((0..others).map(|it| format!("{{\"seq\":{},\"text\":\"\"}}", same + it)).collect())
            .await;
        let folder = tempfile::tempdir().unwrap();
        let (follower, _server) = followed_into(&other, folder.path()).await;
        let refused = wait(&follower, |progress| progress.is_refused).await;
        let expected = "segment 0 is signed with other blocks than were signed before";
        assert_eq!(refused.trouble.as_deref(), Some(expected), "{same} and {others}");
        follower.stop().await;
        let kept = javascript::read(&segment_folder(folder.path(), 0)).await;
        assert_eq!(kept.blocks.len(), 31);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_has_the_first_of_its_blocks_for_now_is_not_refused() {
    let mut again = Trail::begin().await;
    again.append_entries(12).await;
    let folder = tempfile::tempdir().unwrap();
    let (follower, _server) = followed_into(&again, folder.path()).await;
    wait(&follower, |progress| progress.is_connected).await;
    again.append_entries(8).await;
    again.append_entries(25).await;
    wait(&follower, |progress| {
        assert!(!progress.is_refused, "{progress:?}");
        progress.length == 46
    })
    .await;
    follower.stop().await;
    assert_is_copied(folder.path(), &again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_talks_nonsense_is_no_more_than_trouble() {
    let nonsense = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, folder) = (nonsense.local_addr().unwrap().to_string(), tempfile::tempdir().unwrap());
    let talking = tokio::spawn(async move {
        loop {
            let (mut peer, _) = nonsense.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut peer, &[200, 0, 0].repeat(1000)).await;
        }
    });
    let follower = follow(&address, folder.path());
    let progress = wait(&follower, |progress| progress.trouble.is_some()).await;
    assert!(!progress.is_connected && !progress.is_refused, "{progress:?}");
    follower.stop().await;
    talking.abort();
}
