//! A node's own way to the forge, which can be cut: from then on nothing is answered, and nothing is refused either.

use reqwest::Url;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) struct Cable {
    pub(crate) url: String,
    is_cut: watch::Sender<bool>,
    /// Ends with the cable, and all its connections with it.
    _ends: JoinSet<()>,
}

impl Cable {
    pub(crate) async fn to(url: &str) -> Self {
        let there = Url::parse(url).unwrap();
        let there = format!("{}:{}", there.host_str().unwrap(), there.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (is_cut, seen) = watch::channel(false);
        let mut ends = JoinSet::new();
        ends.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((here, _)) = listener.accept().await {
                connections.spawn(carry(here, there.clone(), seen.clone()));
            }
        });
        Self { url, is_cut, _ends: ends }
    }

    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }
}

async fn carry(mut here: TcpStream, there: String, mut is_cut: watch::Receiver<bool>) {
    let carried = async {
        let Ok(mut there) = TcpStream::connect(there).await else { return };
        // One side has hung up.
        let _ = copy_bidirectional(&mut here, &mut there).await;
    };
    let is_over = tokio::select! {
        biased;
        cut = is_cut.wait_for(|is_cut| *is_cut) => cut.is_err(),
        () = carried => true,
    };
    if !is_over {
        // Silent, but not closed.
        std::future::pending::<()>().await;
    }
}
