//! What earlier lives left in the data folder and belongs to nothing is gone soon after the start.

use std::time::{Duration, SystemTime};

use crate::stage::on_a_hill;

#[test]
fn a_node_removes_what_belongs_to_nothing_and_works_on() {
    on_a_hill(async |hill| {
        let task = hill.well().await;
        let data = hill.data_folder("a");
        let store = data.join("tasks/meadow.gone.9");
        let mirror = data.join("mirrors/meadow/gone.git");
        let aside = data.join("mirrors/meadow/gone.git.broken");
        let half_made = data.join("git-work/w1/mirror.git");
        let on_its_way = data.join("tmp/work.bundle");
        let folders = [&store, &mirror, &aside, &half_made, &on_its_way];
        let long_ago = SystemTime::now() - Duration::from_secs(30 * 24 * 3600);
        for folder in folders {
            std::fs::create_dir_all(folder).unwrap();
            let mark = std::fs::File::create(folder.join("fetched")).unwrap();
            mark.set_modified(long_ago).unwrap();
        }
        let node = hill.node().await;
        assert!(!store.exists() && !half_made.exists() && !on_its_way.exists(), "before the first task");
        hill.until("the old mirrors are gone", |_| !mirror.exists() && !aside.exists()).await;
        node.until_proposed(&task).await;
        assert!(data.join("mirrors/meadow/well.git").exists());
        assert!(data.join("tasks").join(task.slug()).exists(), "its pull request is still open");
    });
}
