//! sandboxd for a daemon that does not see this machine's files: a layer on the image that sandboxes are made from.
//!
//! These images stay with the daemon, named by what is in them, so that each is made once, whoever needs it. Nothing
//! else of the image is changed. One that this program or the image has outgrown is removed when the next one is made.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerConfig, ContainerCreateBody, HostConfig, ImageSummary};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
    RemoveImageOptions, UploadToContainerOptionsBuilder,
};
use bzzz_actors::ports::sandbox::SandboxError;
use tokio_util::task::TaskTracker;

use super::client::{explain, is_missing};
use super::sandbox;
use super::unfinished::Unfinished;
use crate::sandbox::common::SANDBOXD;
use crate::sandbox::program;

const REPOSITORY: &str = "bzzz-sandboxd";

/// The hash of the sandboxd in it.
const SANDBOXD_LABEL: &str = "bzzz.sandboxd";
/// The name of the image below, as the operator gave it.
const BASE_LABEL: &str = "bzzz.base";

/// Of the container that an image is made of. No sandbox's begins so.
const MAKER_PREFIX: &str = "sandboxd-layer-";

/// A maker is there for a second or two. One that is so old is left over from a node that was killed; should a slow one be
/// taken for it, its node makes another.
const MAKER_GRACE: Duration = Duration::from_secs(600);

/// How much of the hash stands in the image's name.
const HASH_DIGITS: usize = 32;

/// The image with sandboxd in it, made unless it is there.
pub(super) async fn on(
    client: &Docker,
    base: &Base<'_>,
    removals: &TaskTracker,
) -> Result<String, SandboxError> {
    let sandboxd = program::hash();
    let tag = tag(&base.id, &sandboxd);
    let name = format!("{REPOSITORY}:{tag}");
    match client.inspect_image(&name).await {
        Ok(_) => return Ok(name),
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(explain("look for an image", &error)),
    }
    let mut maker = Unfinished::new(client, removals);
    let maker_name = format!("{MAKER_PREFIX}{:016x}", getrandom::u64().unwrap_or_default());
    make(client, &mut maker, &maker_name, base, (&tag, &sandboxd))
        .await
        .map_err(|e| explain("put sandboxd on the image", &e))?;
    sandbox::remove(client, &maker_name).await?;
    maker.finished();
    tracing::info!(image = %name, base = base.name, "sandboxd was put on the image");
    if let Err(error) = remove_older(client, base.name, &name).await {
        tracing::debug!(%error, "older images with sandboxd were not removed");
    }
    Ok(name)
}

/// An image as the daemon has it.
pub(super) struct Base<'a> {
    pub(super) name: &'a str,
    pub(super) id: String,
    /// Whether it says what a container of it runs.
    pub(super) has_command: bool,
}

async fn make(
    client: &Docker,
    maker: &mut Unfinished,
    maker_name: &str,
    base: &Base<'_>,
    (tag, sandboxd): (&str, &str),
) -> Result<(), Error> {
    let labels = [(SANDBOXD_LABEL, sandboxd), (BASE_LABEL, base.name)];
    let body = ContainerCreateBody {
        image: Some(base.id.clone()),
        // Its configuration becomes the image's: nothing is set that need not be.
        cmd: (!base.has_command).then(|| vec![SANDBOXD.to_owned()]),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    maker.create(maker_name, body).await?;
    let upload = UploadToContainerOptionsBuilder::default().path("/").build();
    let files = bollard::body_full(archive()?.into());
    client.upload_to_container(maker_name, Some(upload), files).await?;
    let commit = CommitContainerOptionsBuilder::default()
        .container(maker_name)
        .repo(REPOSITORY)
        .tag(tag)
        .comment("sandboxd, put there by bzzz")
        .pause(false)
        .build();
    client.commit_container(commit, ContainerConfig::default()).await?;
    Ok(())
}

/// sandboxd as a tar, of root's.
fn archive() -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(program::MODE);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(program::SANDBOXD.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, SANDBOXD.trim_start_matches('/'), program::SANDBOXD)?;
    archive.into_inner()
}

/// The same image and the same sandboxd have the same tag.
fn tag(base: &str, sandboxd: &str) -> String {
    let hash = blake3::hash(format!("{base}\n{sandboxd}").as_bytes()).to_hex();
    hash[..HASH_DIGITS].to_owned()
}

/// Removes what was made before `name` from an image of the same name. The daemon keeps one that a container uses.
async fn remove_older(client: &Docker, base: &str, name: &str) -> Result<(), Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{BASE_LABEL}={base}")])]);
    let found =
        client.list_images(Some(ListImagesOptionsBuilder::default().filters(&filters).build())).await?;
    for older in outgrown(&found, name) {
        // One that is in use stays until the next time.
        match client.remove_image(older, None::<RemoveImageOptions>, None).await {
            Ok(_) => tracing::info!(image = older, "an image with an older sandboxd was removed"),
            Err(error) => tracing::debug!(image = older, %error, "an image with an older sandboxd stays"),
        }
    }
    Ok(())
}

fn outgrown<'a>(found: &'a [ImageSummary], name: &str) -> Vec<&'a str> {
    let is_it = |image: &&ImageSummary| image.repo_tags.iter().any(|tag| tag == name);
    let Some(made) = found.iter().find(is_it).map(|image| image.created) else { return Vec::new() };
    let older = found.iter().filter(|image| image.created <= made && !is_it(image));
    let tags = older.flat_map(|image| &image.repo_tags).map(String::as_str);
    tags.filter(|tag| tag.split_once(':').is_some_and(|(repository, _)| repository == REPOSITORY)).collect()
}

/// Removes the makers that nodes left behind that were killed.
pub(super) async fn remove_left_over(client: &Docker) -> Result<(), SandboxError> {
    let filters = HashMap::from([
        ("name".to_owned(), vec![format!("^/?{MAKER_PREFIX}")]),
        ("status".to_owned(), vec!["created".to_owned()]),
    ]);
    let query = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let found = client.list_containers(Some(query)).await.map_err(|e| explain("list containers", &e))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let is_old = |created: i64| Duration::from_secs(created.max(0) as u64) + MAKER_GRACE < now;
    for maker in found.into_iter().filter(|maker| maker.created.is_some_and(is_old)) {
        if let Some(id) = maker.id {
            sandbox::remove(client, &id).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_sandboxd_as_every_user_may_run_it() {
        let archive = archive().unwrap();
        let mut archive = tar::Archive::new(&archive[..]);
        let entries: Vec<_> = archive.entries().unwrap().map(Result::unwrap).collect();
        let [sandboxd] = &entries[..] else { panic!("{}", entries.len()) };
        let header = sandboxd.header();
        assert_eq!(sandboxd.path().unwrap().to_str(), Some("sandboxd"));
        assert_eq!((header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0o755, 0, 0));
        assert_eq!(header.size().unwrap(), program::SANDBOXD.len() as u64);
    }

    #[test]
    fn a_tag_says_what_is_in_the_image() {
        let tags = [tag("sha256:1", "a"), tag("sha256:2", "a"), tag("sha256:1", "b"), tag("sha256:1", "a")];
        assert_eq!(tags[0], tags[3]);
        assert!(tags[0] != tags[1] && tags[0] != tags[2] && tags[1] != tags[2], "{tags:?}");
        assert_eq!(tags[0].len(), HASH_DIGITS);
    }

    #[test]
    fn only_images_of_ours_that_are_older_are_outgrown() {
        let image = |created: i64, tags: &[&str]| ImageSummary {
            created,
            repo_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..ImageSummary::default()
        };
        let found = [
            image(5, &["bzzz-sandboxd:new"]),
            image(4, &["bzzz-sandboxd:old", "kept-by-somebody:1"]),
            image(5, &["bzzz-sandboxd:same-second"]),
            image(6, &["bzzz-sandboxd:newer"]),
            image(3, &["bzzz-sandboxd-of-mine:1", "far.example:5000/bzzz-sandboxd:1"]),
            image(2, &[]),
        ];
        assert_eq!(outgrown(&found, "bzzz-sandboxd:new"), ["bzzz-sandboxd:old", "bzzz-sandboxd:same-second"]);
        assert_eq!(outgrown(&found, "bzzz-sandboxd:gone"), [""; 0]);
    }
}
