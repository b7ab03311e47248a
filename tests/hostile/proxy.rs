//! Abuse of the network proxy by commands in a sandbox that has one: each request is refused with words, nothing is
//! connected to, the journal is told, and the proxy goes on.

use std::net::SocketAddr;
use std::time::Duration;

use bzzz::network::Limits;
use bzzz_actors::ports::sandbox::{Purpose, Sandbox};
use bzzz_actors::task::{ConnectionOutcome, TaskEvent};

use crate::internet::{HOST, Stage, node};
use crate::on_each_backend;
use crate::place::{Place, output, request, text};

/// What is sent, as Python writes bytes, and how the answer begins. `HOST` is the one that is allowed.
const REQUESTS: &[(&str, &str, &str)] = &[
    (
        "a_tunnel_to_another_host",
        "CONNECT evil.example:443 HTTP/1.1\\r\\n\\r\\n",
        "403 network access to evil.example:443",
    ),
    ("a_tunnel_to_the_metadata_service", "CONNECT 169.254.169.254:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    ("a_tunnel_to_the_machine_itself", "CONNECT localhost:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    ("a_tunnel_to_a_loopback_address", "CONNECT 127.0.0.1:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    ("a_tunnel_to_an_address_as_one_number", "CONNECT 2852039166:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    ("a_tunnel_to_an_address_in_octal", "CONNECT 0251.0376.0251.0376:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    ("a_tunnel_to_a_mapped_address", "CONNECT [::ffff:169.254.169.254]:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    ("a_tunnel_to_another_port", "CONNECT HOST:22 HTTP/1.1\\r\\n\\r\\n", "403 network access to HOST:22"),
    ("a_name_that_begins_like_an_allowed_one", "CONNECT HOST.evil.example:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    ("a_name_that_ends_like_an_allowed_one", "CONNECT evil-HOST:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    ("a_name_with_a_dot_at_its_end", "CONNECT HOST.:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    ("a_user_before_another_host", "CONNECT HOST@evil.example:443 HTTP/1.1\\r\\n\\r\\n", "403 "),
    (
        "an_allowed_host_in_the_header_alone",
        "CONNECT evil.example:443 HTTP/1.1\\r\\nHost: HOST:443\\r\\n\\r\\n",
        "403 ",
    ),
    ("a_zero_byte_in_the_host", "CONNECT HOST\\x00.evil.example:443 HTTP/1.1\\r\\n\\r\\n", "400 "),
    ("a_line_break_in_the_host", "CONNECT evil.example\\r\\nHOST:443 HTTP/1.1\\r\\n\\r\\n", "400 "),
    (
        "a_second_request_behind_a_refused_one",
        "CONNECT evil.example:443 HTTP/1.1\\r\\n\\r\\nCONNECT HOST:443 HTTP/1.1\\r\\n\\r\\n",
        "403 ",
    ),
    ("a_request_without_a_tunnel", "GET https://HOST/ HTTP/1.1\\r\\n\\r\\n", "403"),
    (
        "a_request_of_the_metadata_service_in_the_clear",
        "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\\r\\n\\r\\n",
        "403",
    ),
    ("a_request_that_is_none", "\\x16\\x03\\x01\\x02\\x00\\x01\\x00\\x01\\xfc\\x03\\x03\\r\\n\\r\\n", "400 "),
    ("an_endless_head", "CONNECT HOST:443 HTTP/1.1\\r\\nX: \" + b\"a\" * 100000 + b\"", "431 "),
];

const REBINDING: &str = "a_name_that_leads_to_the_metadata_service";
const CROWD: &str = "a_crowd_of_connections_that_say_nothing";

pub(crate) fn names() -> Vec<&'static str> {
    REQUESTS.iter().map(|(name, ..)| *name).chain([REBINDING, CROWD]).collect()
}

/// What the proxy answers first.
async fn answer(sandbox: &dyn Sandbox, step: u32, request: &str) -> String {
    let script = format!(
        "python3 -c 'import socket\ns = socket.create_connection((\"127.0.0.1\", 3128), 20)\ns.sendall(b\"{request}\")\n\
         print(s.recv(4096).decode().split(\"\\r\\n\")[0].partition(\" \")[2])'"
    );
    output(sandbox, step, &script).await
}

async fn try_all(place: &Place) {
    // Nobody is to come: there is nobody.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    // The first time already the allowed name leads where no name may.
    let stage = Stage::new(nowhere, 0);
    let (sandboxes, networks, mut reports) = node(place, &stage, Limits::default());
    let sandbox = sandboxes.start(&place.spec(Purpose::Work)).await.unwrap();
    for (step, (name, request, expected)) in (1..).zip(REQUESTS) {
        let said = answer(&*sandbox, step, &request.replace("HOST", HOST)).await;
        assert!(said.starts_with(&expected.replace("HOST", HOST)), "{name}: {said}");
        let event = reports.next().await.unwrap().2;
        assert!(
            matches!(event, TaskEvent::Connected { outcome: ConnectionOutcome::Refused { .. }, .. }),
            "{name}: {event:?}"
        );
        println!("{name}: {}", said.trim_end());
    }
    let allowed = format!("CONNECT {HOST}:443 HTTP/1.1\\r\\n\\r\\n");
    let said = answer(&*sandbox, 100, &allowed).await;
    assert!(said.contains("the name leads to no public address"), "{REBINDING}: {said}");
    println!("{REBINDING}: {}", said.trim_end());

    let crowd = "python3 -c 'import socket\nfor i in range(3000): socket.create_connection((\"127.0.0.1\", 3128), 20)\nprint(i)'";
    // When they come faster than they are taken, some wait for a second.
    let said = sandbox.run(&request(101, crowd, Duration::from_secs(300))).await.unwrap();
    assert_eq!(text(&said), "2999\n", "{CROWD}");
    let said = answer(&*sandbox, 102, &allowed).await;
    assert!(said.contains("the name leads to no public address"), "{CROWD}: {said}");
    println!("{CROWD}: {}", said.trim_end());

    let connected = stage.connected.lock().unwrap().clone();
    assert!(connected.is_empty(), "{connected:?}");
    sandbox.destroy().await.unwrap();
    networks.close().await;
}

on_each_backend!(try_all);
