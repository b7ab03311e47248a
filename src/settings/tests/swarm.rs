//! The swarm's addresses and ids, which only the network understands.

use super::*;

#[test]
fn bad_addresses_are_told_with_their_key_and_what_is_allowed() {
    for (file, words) in [
        ("listen = ['0.0.0.0:4411']", ["swarm.listen", "\"0.0.0.0:4411\"", "/ip4/0.0.0.0/tcp/4411"]),
        ("listen = ['/dns/a.example/tcp/1']", ["swarm.listen", "has a name", "allowed"]),
        ("announce = ['/ip4/0.0.0.0/tcp/4411']", ["swarm.announce", "no address of one machine", "allowed"]),
        ("bootstrap = ['/ip4/10.0.0.1/tcp/4411']", ["swarm.bootstrap", "the peer's id", "bzzz peers"]),
        ("allow = ['bee']", ["swarm.allow", "\"bee\"", "12D3KooW"]),
    ] {
        let problems = Machine::with_file(&format!("[swarm]\n{file}\n")).problems();
        let [problem] = problems.as_slice() else { panic!("{file}: {problems:?}") };
        assert!(words.iter().all(|word| problem.contains(word)), "{file}: {problem}");
    }
}
